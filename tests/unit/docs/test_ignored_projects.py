"""A project that README.md has a newcomer make in a clone is not taken for a part of Loom: git ignores it."""

import re
import subprocess

from support.documents import ROOT


def test_git_ignores_what_the_readme_makes():
    made = set(re.findall(r"^loom init (\w+)", (ROOT / "README.md").read_text("utf-8"), re.MULTILINE))
    assert made
    for folder in made:
        ignored = subprocess.run(["git", "check-ignore", "--quiet", f"{folder}/loom.yaml"], cwd=ROOT, check=False)
        assert ignored.returncode == 0, f"add /{folder}/ to .gitignore"
        kept = subprocess.run(["git", "ls-files", folder], cwd=ROOT, capture_output=True, text=True, check=True)
        assert kept.stdout == "", f"git keeps files of {folder}/, which README.md makes"
