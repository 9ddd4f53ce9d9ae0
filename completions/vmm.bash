# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# Completion of vmm and snapinspect for bash. Commands and options are asked of the programs
# themselves (--help), so that they are those of the version that is installed.

# Names and then a description in two columns, as --help prints them.
_vmm_commands() {
    "$1" --help 2>/dev/null | sed -n 's/^  \([a-z][a-z-]*\)  *[^ ].*/\1/p'
}

# Long and short options of `vmm COMMAND`.
_vmm_options() {
    echo --help
    "$1" "$2" --help 2>/dev/null |
        sed -n -e 's/^ *\(-[a-z]\), \(--[a-z-]*\).*/\1\n\2/p' -e 's/^ *\(--[a-z-]*\).*/\1/p'
}

# What the value of an option is called in --help; nothing for a flag and for no option.
_vmm_value() {
    "$1" "$2" --help 2>/dev/null |
        sed -n -e 's/^ *\(-[a-z]\), \(--[a-z-]*\) \([^ ][^ ]*\) .*/\1 \3\n\2 \3/p' \
            -e 's/^ *\(--[a-z-]* [^ ][^ ]*\) .*/\1/p' |
        while read -r option value; do
            [ "$option" = "$3" ] && echo "$value" && break
        done
}

_vmm_names() {
    local dir=${VMM_RUNTIME_DIR:-${XDG_RUNTIME_DIR:+$XDG_RUNTIME_DIR/vmm}} f
    for f in "${dir:-/run/vmm}"/*.sock; do
        [ -S "$f" ] || continue
        f=${f##*/}
        echo "${f%.sock}"
    done
}

_vmm_words() {
    mapfile -t COMPREPLY < <(compgen -W "$1" -- "$2")
}

# Files that end in $2, and directories; any file when $2 is empty.
_vmm_files() {
    compopt -o filenames 2>/dev/null
    if [ -n "$2" ]; then
        mapfile -t COMPREPLY < <(compgen -d -- "$1"; compgen -f -X "!*$2" -- "$1")
    else
        mapfile -t COMPREPLY < <(compgen -f -- "$1")
    fi
}

_vmm_option_value() {
    local vmm=$1 value=$2 cur=$3
    case $value in
    FILE | PROFILE) _vmm_files "$cur" ;;
    POLICY)
        _vmm_files "$cur"
        mapfile -t -O "${#COMPREPLY[@]}" COMPREPLY < <(compgen -W "host x86_64-v2 x86_64-v3" -- "$cur")
        ;;
    DIR)
        compopt -o filenames 2>/dev/null
        mapfile -t COMPREPLY < <(compgen -d -- "$cur")
        ;;
    DISK | NET)
        compopt -o nospace 2>/dev/null
        [ "$value" = DISK ] && _vmm_words "path=" "$cur" || _vmm_words "tap=" "$cur"
        ;;
    TARGET)
        compopt -o nospace 2>/dev/null
        _vmm_words "stdio none file: unix:" "$cur"
        ;;
    KEY)
        compopt -o nospace 2>/dev/null
        _vmm_words "key= key-fd= passphrase-file= passphrase-fd= passphrase" "$cur"
        ;;
    ACTION) _vmm_words "reset stop" "$cur" ;;
    ENCODING) _vmm_words "zstd raw" "$cur" ;;
    HOW) _vmm_words "advance keep" "$cur" ;;
    none) _vmm_words "none" "$cur" ;;
    ID) _vmm_words "$("$vmm" layout list 2>/dev/null | cut -d' ' -f1)" "$cur" ;;
    esac
}

# Words that are not options, before the one that is being completed.
_vmm_count() {
    local vmm=$1 command=$2 i n=0
    for ((i = 2; i < COMP_CWORD; i++)); do
        if [[ ${COMP_WORDS[i]} == -* ]]; then
            [ -n "$(_vmm_value "$vmm" "$command" "${COMP_WORDS[i]}")" ] && ((i++))
        else
            ((n++))
        fi
    done
    echo "$n"
}

_vmm() {
    local vmm=$1 cur=$2 prev=$3 command=${COMP_WORDS[1]-} value
    COMPREPLY=()
    if [ "$COMP_CWORD" -eq 1 ]; then
        _vmm_words "$(_vmm_commands "$vmm") --help --version" "$cur"
        return
    fi
    # bash makes words of their own of = and :, as in path=FILE and unix:FILE.
    case $cur in = | :) _vmm_files "" && return ;; esac
    case $prev in = | :) _vmm_files "$cur" && return ;; esac
    value=$(_vmm_value "$vmm" "$command" "$prev")
    if [ -n "$value" ]; then
        _vmm_option_value "$vmm" "$value" "$cur"
        return
    fi
    if [[ $cur == -* ]]; then
        _vmm_words "$(_vmm_options "$vmm" "$command")" "$cur"
        return
    fi
    case $command:$(_vmm_count "$vmm" "$command") in
    snapshot:0 | pause:0 | resume:0 | stop:0 | status:0 | balloon:0) _vmm_words "$(_vmm_names)" "$cur" ;;
    check:0 | merge:0 | restore:0) _vmm_files "$cur" .vmsnap ;;
    disk:0) _vmm_words "info commit flatten" "$cur" ;;
    disk:1) _vmm_files "$cur" ;;
    layout:0) _vmm_words "list show diff" "$cur" ;;
    layout:1 | layout:2) _vmm_option_value "$vmm" ID "$cur" ;;
    cpu:0) _vmm_words "show baseline" "$cur" ;;
    cpu:*) _vmm_option_value "$vmm" POLICY "$cur" ;;
    esac
}

_snapinspect() {
    local program=$1 cur=$2 word command=
    COMPREPLY=()
    for word in "${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
        [[ $word == -* ]] || { command=$word && break; }
    done
    if [[ ${COMP_WORDS[COMP_CWORD - 1]} == --key ]]; then
        _vmm_option_value "$program" KEY "$cur"
    elif [[ $cur == -* ]]; then
        _vmm_words "$("$program" --help 2>/dev/null | grep -o -e '--[a-z][a-z-]*')" "$cur"
    elif [ -z "$command" ]; then
        _vmm_words "$(_vmm_commands "$program")" "$cur"
    elif [ "$command" = schema ]; then
        _vmm_words "$("$program" schema 2>/dev/null | sed -n 's/^### `\([^`]*\)`.*/\1/p')" "$cur"
    else
        _vmm_files "$cur" .vmsnap
    fi
}

complete -F _vmm vmm
complete -F _snapinspect snapinspect
