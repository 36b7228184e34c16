"""The documentation does what it says: its code runs, its commands and links exist.

The first lines of each block of code say what it needs; `docs_world.py` has the rest.
"""

import ast
import functools
import importlib.util
import itertools
import os
import pathlib
import re
import shlex
import shutil
import subprocess
import sys

import docs_world
import pytest
from docs_world import ROOT

slow = pytest.mark.slow
#: Pages whose code takes seconds: searches, trainings, every file of a report, tfmot.
SLOW = {"docs/start.md"} | {
    f"docs/guides/{name}.md"
    for name in ("budgets", "channels", "convergence", "post_training", "reports")
    + ("resume", "retraining", "tfmot")
}
#: Commands that a page may show besides those that are looked up below.
PLAIN = ("cd", "git")
LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")
FLAG = re.compile(r"flags\.DEFINE_\w+\(\s*\"(\w+)\"")


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("docs")
    docs_world.furnish(folder)
    return folder


def with_code():
    for page in docs_world.pages():
        if list(docs_world.blocks(page, "python")):
            yield pytest.param(page, id=page, marks=slow if page in SLOW else ())


@pytest.mark.parametrize("page", with_code())
@pytest.mark.filterwarnings("ignore:.*(sparse one|XNNPACK|DENSIFY)")
def test_the_code_of_a_page(page, files, tmp_path, monkeypatch):
    """All blocks of a page in turn, in one namespace and an empty folder."""
    for name in ("model.keras", "data.npz"):
        shutil.copy(files / name, tmp_path)
    monkeypatch.chdir(tmp_path)
    names = docs_world.namespace(tmp_path)
    for line, code in docs_world.blocks(page, "python"):
        # So that a traceback shows the line of the page.
        exec(compile("\n" * (line - 1) + code, ROOT / page, "exec"), names)


def test_no_block_is_passed_by():
    """What is no Python, and no command, is output or another tool's."""
    found = {
        language
        for page in docs_world.pages()
        for _, language, _ in docs_world.FENCE.findall(docs_world.text(page))
    }
    assert found == {"python", "bash"}


# Commands.


def commands():
    for page in docs_world.pages() + list(docs_world.ELSEWHERE):
        for line, code in docs_world.blocks(page, "bash"):
            folder = ROOT
            for words in map(shlex.split, unfolded(code)):
                if words[0] == "cd":
                    folder = ROOT / words[1]
                yield pytest.param(words, folder, id=f"{page}:{line}-{words[0]}")


def unfolded(code):
    """Commands of a block, without comments and ends of lines in them."""
    lines = code.replace("\\\n", " ").splitlines()
    return [c for c in (line.partition(" #")[0].strip() for line in lines) if c]


@pytest.mark.parametrize("words, folder", commands())
def test_a_command(words, folder):
    name, *rest = words
    if name not in PLAIN:
        CHECKS[name](rest, folder)


def check_make(targets, folder):
    found = re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert targets and set(targets) <= set(found)


def check_pip(words, folder):
    from setuptools.config.setupcfg import read_configuration

    extras = read_configuration(ROOT / "setup.cfg")["options"]["extras_require"]
    named = re.findall(r"(?:tf_admm|\.)\[([\w,]+)\]", " ".join(words))
    assert words[0] == "install" and named
    assert {extra for names in named for extra in names.split(",")} <= set(extras)


def check_python(words, folder):
    script, *given = words
    assert (folder / script).is_file()
    known = defined(folder / script) | {"flagfile", "helpfull"}
    for word in given:
        flag, _, value = word.removeprefix("--").partition("=")
        assert word.startswith("--")
        assert flag in known or flag.removeprefix("no") in known, flag
        if flag == "flagfile":
            assert (folder / value).is_file()


@functools.cache
def defined(script):
    """Names of the flags of a script, and of what it imports from its folder."""
    code = script.read_text()
    found = set(FLAG.findall(code))
    for node in ast.walk(ast.parse(code)):
        for alias in getattr(node, "names", []):
            beside = script.parent / f"{getattr(alias, 'name', alias)}.py"
            if isinstance(node, ast.Import) and beside.exists():
                found |= defined(beside)
    return frozenset(found)


def check_tf_admm(words, folder):
    """As the command itself reads its words, before any work."""
    from tf_admm_cli import options
    from tf_admm_cli.commands import SUMMARIES

    name, *given = words
    assert name in SUMMARIES
    options.parsed(name, importlib.import_module(f"tf_admm_cli.commands.{name}"), given)


CHECKS = {
    "make": check_make,
    "pip": check_pip,
    "python": check_python,
    "tf-admm": check_tf_admm,
}


def inline():
    """Commands within text, such as `python benchmarks/rho.py`."""
    found = r"`((?:make|python|tf-admm)\s[^`]+)`"
    for page in docs_world.pages() + list(docs_world.ELSEWHERE):
        prose = docs_world.FENCE.sub("", docs_world.text(page))
        for text in sorted(set(re.findall(found, prose))):
            if "COMMAND" not in text:
                yield pytest.param(shlex.split(text), id=f"{page}-{text[:40]}")


@pytest.mark.parametrize("words", inline())
def test_a_command_in_the_text(words):
    name, *rest = words
    if name == "tf-admm" and len(rest) == 1:
        from tf_admm_cli.commands import SUMMARIES

        assert rest[0] in SUMMARIES
    else:
        CHECKS[name](rest, ROOT)


# Links.


def links():
    for page in docs_world.pages() + list(docs_world.ELSEWHERE):
        prose = docs_world.FENCE.sub("", docs_world.text(page))
        for target in sorted(set(LINK.findall(prose))):
            if not target.startswith(("http://", "https://")):
                yield pytest.param(page, target, id=f"{page}->{target}")


@pytest.mark.parametrize("page, target", links())
def test_a_link(page, target):
    name, _, anchor = target.partition("#")
    path = os.path.normpath(os.path.join(os.path.dirname(page), name) if name else page)
    assert (ROOT / path).exists(), path
    if anchor:
        assert anchor in anchors(path)


@functools.cache
def anchors(page):
    """Anchors of the headings of a page, as GitHub and mkdocs make them."""
    prose = docs_world.FENCE.sub("", (ROOT / page).read_text())
    heads = re.findall(r"^#+ (.*)$", prose, re.MULTILINE)
    plain = [re.sub(r"[^\w\s-]", "", head).strip().lower() for head in heads]
    return {re.sub(r"\s", "-", head) for head in plain}


def test_a_short_readme():
    lines = docs_world.text("README.md").splitlines()
    assert len(lines) <= 200


# The site and the notebooks.


@slow
@pytest.mark.skipif(
    importlib.util.find_spec("mkdocs") is None, reason="needs tf_admm[docs]"
)
def test_the_site_builds_without_a_warning(tmp_path):
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "-d", tmp_path]
    env = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    built = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True)
    assert built.returncode == 0, built.stderr
    assert "WARNING" not in built.stderr
    reference = (tmp_path / "api" / "training" / "index.html").read_text()
    assert 'id="tf_admm.ADMMModel"' in reference


NOTEBOOKS = sorted((ROOT / "docs" / "notebooks").glob("*.ipynb"))


@slow
@pytest.mark.parametrize("path", NOTEBOOKS, ids=[path.stem for path in NOTEBOOKS])
def test_a_notebook(path, tmp_path):
    nbclient = pytest.importorskip("nbclient", reason="needs tf_admm[dev]")
    nbformat = pytest.importorskip("nbformat")
    pytest.importorskip("keras_hub" if path.stem == "text_model" else "keras")
    notebook = nbformat.read(path, as_version=4)
    resources = {"metadata": {"path": tmp_path}}
    nbclient.NotebookClient(notebook, timeout=600, resources=resources).execute()
    outputs = itertools.chain(*(cell.get("outputs", []) for cell in notebook.cells))
    assert list(outputs)


def test_there_are_two_notebooks_without_outputs():
    import json

    assert len(NOTEBOOKS) == 2
    for cell in itertools.chain(
        *(json.loads(pathlib.Path(p).read_text())["cells"] for p in NOTEBOOKS)
    ):
        assert not cell.get("outputs")
