#!/usr/bin/env python3
"""Documents and programs say the same: test_docs.py VMM SNAPINSPECT.

Options of --help, manual pages and completion; rules in the code and in docs/compatibility.md;
links in Markdown. Ends with 77 when mandoc is missing and nothing else is wrong.
"""
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests"))
from programs import runnable  # noqa: E402

MAN = ROOT / "docs/man"
VMM, SNAPINSPECT = "vmm", "snapinspect"


def output(*argv):
    return subprocess.run(argv, check=True, capture_output=True, text=True).stdout


def commands_of(program):
    return re.findall(r"^  ([a-z][a-z-]*) +\S", output(program, "--help"), re.M)


def options_of_help(text):
    """{("n", "name"): takes a value} of lines like "  -n, --name NAME   how ..."."""
    found = re.findall(r"^ +(?:-([a-z]), )?--([a-z-]+)( [^ ]+ |)", text, re.M)
    return {(letter, name): bool(value.strip()) for letter, name, value in found}


def options_of_page(path):
    """The same of lines like ".It Fl n , Fl -name Ar NAME", but for --help of every command."""
    found = re.findall(r"^\.It Fl (?:([a-z]) , Fl )?-([a-z-]+)(.*)$", path.read_text(), re.M)
    return {(letter, name): bool(value.strip()) for letter, name, value in found
            if name != "help"}


def complete(program, words, directory=".", env=None):
    """What bash offers for the last of @words."""
    script = ('source "$1"; COMP_WORDS=("${@:2}"); COMP_CWORD=$(($# - 2)); COMPREPLY=();'
              'compopt() { :; }; f=$(complete -p "${COMP_WORDS[0]##*/}" | sed "s/.*-F \\([^ ]*\\) .*/\\1/");'
              '"$f" "${COMP_WORDS[0]}" "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD-1]}";'
              'printf "%s\\n" "${COMPREPLY[@]}"')
    out = subprocess.run(["bash", "-c", script, "bash", ROOT / "completions/vmm.bash", program,
                          *words], check=True, capture_output=True, text=True, cwd=directory,
                         env={**os.environ, **(env or {})})
    assert not out.stderr, out.stderr
    return out.stdout.split()


class Pages(unittest.TestCase):
    def test_commands(self):
        listed = re.findall(r"^\.It Xr vmm-([a-z-]+) 1$", (MAN / "vmm.1").read_text(), re.M)
        self.assertEqual(listed, commands_of(VMM))
        pages = {p.stem[4:] for p in MAN.glob("vmm-*.1")}
        self.assertEqual(pages, set(listed))

    def test_options(self):
        for command in commands_of(VMM):
            with self.subTest(command):
                self.assertEqual(options_of_page(MAN / f"vmm-{command}.1"),
                                 options_of_help(output(VMM, command, "--help")))

    def test_snapinspect(self):
        page = (MAN / "snapinspect.1").read_text()
        text = output(SNAPINSPECT, "--help")
        self.assertEqual(re.findall(r"^\.It Cm ([a-z-]+)$", page, re.M), commands_of(SNAPINSPECT))
        named = set(re.findall(r"(?<!host )--([a-z-]+)", text))
        self.assertEqual(set(re.findall(r"^\.It Fl (?:[a-z] , Fl )?-([a-z-]+)(?: Ar .*)?$", page, re.M)), named)

    def test_installed(self):
        text = (ROOT / "docs/meson.build").read_text()
        self.assertEqual(set(re.findall(r"man/([a-z-]+\.1)", text)),
                         {p.name for p in MAN.glob("*.1")})

    def test_references(self):
        names = {p.stem for p in MAN.glob("*.1")} | {"touch", "seccomp", "ssh", "userfaultfd"}
        for page in MAN.glob("*.1"):
            for name in re.findall(r"^\.Xr (\S+)", page.read_text(), re.M):
                self.assertIn(name, names, page.name)

    def test_lint(self):
        if not shutil.which("mandoc"):
            self.skipTest("mandoc is not installed")
        for page in sorted(MAN.glob("*.1")):
            done = subprocess.run(["mandoc", "-T", "lint", "-W", "warning", page],
                                  capture_output=True, text=True)
            self.assertEqual((done.returncode, done.stdout), (0, ""), page.name)


class Completion(unittest.TestCase):
    def test_commands(self):
        self.assertEqual(set(complete(VMM, [""])), {*commands_of(VMM), "--help", "--version"})
        self.assertEqual(set(complete(SNAPINSPECT, [""])), set(commands_of(SNAPINSPECT)))
        self.assertEqual(complete(VMM, ["snap"]), ["snapshot"])

    def test_options(self):
        for command in commands_of(VMM):
            expected = {"--help"}
            for letter, name in options_of_help(output(VMM, command, "--help")):
                expected |= {f"--{name}"} | ({f"-{letter}"} if letter else set())
            with self.subTest(command):
                self.assertEqual(set(complete(VMM, [command, "-"])), expected)
        named = set(re.findall(r"--[a-z-]+", output(SNAPINSPECT, "--help")))
        self.assertEqual(set(complete(SNAPINSPECT, ["info", "-"])), named)

    def test_words(self):
        with tempfile.TemporaryDirectory() as name:
            for file in ("a.vmsnap", "b.img"):
                Path(name, file).touch()
            with socket.socket(socket.AF_UNIX) as listener:
                listener.bind(f"{name}/web.sock")
                env = {"VMM_RUNTIME_DIR": name}
                for command in ("snapshot", "pause", "resume", "stop", "status", "balloon"):
                    self.assertEqual(complete(VMM, [command, ""], name, env), ["web"])
                self.assertEqual(complete(VMM, ["snapshot", "--level", "3", ""], name, env),
                                 ["web"])
                self.assertEqual(complete(VMM, ["snapshot", "web", ""], name, env), [])
            self.assertEqual(complete(VMM, ["check", ""], name), ["a.vmsnap"])
            self.assertEqual(complete(SNAPINSPECT, ["info", "--json", ""], name), ["a.vmsnap"])
            self.assertEqual(complete(VMM, ["run", "--kernel", "b"], name), ["b.img"])
            self.assertEqual(complete(VMM, ["run", "-k", "b"], name), ["b.img"])
            self.assertEqual(complete(VMM, ["run", "--disk", "path", "=", "b"], name), ["b.img"])
            self.assertEqual(complete(VMM, ["disk", "info", "b"], name), ["b.img"])
        self.assertEqual(complete(VMM, ["restore", "--clock", ""]), ["advance", "keep"])
        for program, words in ((VMM, ["snapshot", "--encrypt"]), (VMM, ["restore", "--key"]),
                               (SNAPINSPECT, ["info", "--key"])):
            self.assertEqual(complete(program, [*words, "key"]), ["key=", "key-fd="])
        self.assertEqual(complete(VMM, ["run", "--watchdog", ""]), ["reset", "stop"])
        self.assertEqual(complete(VMM, ["disk", ""]), ["info", "commit", "flatten"])
        self.assertIn("x86_64/linux@1", complete(VMM, ["layout", "show", ""]))
        self.assertIn("uart", complete(SNAPINSPECT, ["schema", ""]))


class Documents(unittest.TestCase):
    def test_rules(self):
        """The document has what the program prints, and the code uses every rule there is."""
        text = (ROOT / "docs/compatibility.md").read_text()
        printed = output(VMM, "check", "--rules")
        self.assertIn(printed, text, "run scripts/regen-formats")
        rules = re.findall(r"^\| ([LHCD]\d{3}) \|", printed, re.M)
        self.assertEqual(len(rules), len(set(rules)), "a rule stands twice")
        code = "".join(p.read_text() for p in ROOT.glob("src/**/*.c"))
        self.assertEqual(set(re.findall(r"\b(?:RULE_|NUMBER\()([LHCD]\d{3})\b", code)), set(rules))

    def test_picture(self):
        drawn = output(VMM, "layout", "diff", "aarch64/linux@1", "aarch64/linux@2", "--memory", "4G",
                       "--svg")
        self.assertEqual(drawn, (ROOT / "docs/maps.svg").read_text(), "run scripts/regen-formats")

    def test_links(self):
        for path in ROOT.glob("**/*.md"):
            if path.relative_to(ROOT).parts[0].startswith((".", "build")):
                continue
            text = re.sub(r"```.*?```|`[^`\n]*`", "", path.read_text(), flags=re.S)
            for link in re.findall(r"\]\(([^)\s]+)\)|(?:src|srcset)=\"([^\"]+)\"", text):
                target = (link[0] or link[1]).split("#")[0]
                if not target or re.match(r"[a-z]+:", target):
                    continue
                self.assertTrue((path.parent / target).exists(), f"{path}: {target}")

    def test_readme(self):
        text = (ROOT / "README.md").read_text()
        for script in ("scripts/demo", "scripts/check"):
            self.assertIn(script, text)
            self.assertTrue(os.access(ROOT / script, os.X_OK), script)
        known = set(commands_of(VMM))
        for command in re.findall(r"^\$ vmm ([a-z]+)", text, re.M):
            self.assertIn(command, known)
        # The tour uses no option that is not there.
        tour = re.sub(r"\\\n", " ", text)
        for command, rest in re.findall(r"^\$ vmm ([a-z]+)(.*)$", tour, re.M):
            names = {name for _, name in options_of_help(output(VMM, command, "--help"))}
            self.assertLessEqual(set(re.findall(r" --([a-z-]+)", rest)), names, command)


if __name__ == "__main__":
    VMM, SNAPINSPECT = map(runnable, sys.argv[1:3])
    result = unittest.main(argv=sys.argv[:1], exit=False).result
    for _, reason in result.skipped:
        print("skipped:", reason)
    sys.exit(77 if result.wasSuccessful() and result.skipped else not result.wasSuccessful())
