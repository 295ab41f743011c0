"""All checks of this project: `nox` runs the default sessions, `nox -l` lists every one."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import nox

nox.needs_version = ">=2025.2.9"  # first with requires= and nox.project.dependency_groups
PYPROJECT = nox.project.load_toml("pyproject.toml")

OWN = f"{sys.version_info.major}.{sys.version_info.minor}"
PYTHONS = nox.project.python_versions(PYPROJECT)

# `cover` runs all tests on nox's own Python, so `tests` need not. The workflow of the code host runs these sessions
# with each Python; `nox -s tests` runs the tests for which the Python matters most on each that it finds.
nox.options.sessions = ["lint", "typing", "cover", "docs"]
# A Python that is not installed is skipped, under CI=true too.
nox.options.error_on_missing_interpreters = False

# One more than two cores have, for many tests wait for a node's process; with six, each test takes half as long again.
# Who is done takes tests from the others, for the longest are not spread evenly. `-n 0` runs all in one, for a
# debugger.
PARALLEL = ("-n", "3", "--dist", "worksteal")


def existing(*names: str) -> tuple[str, ...]:
    """Return the paths of the test files and of the folders of tests that have these names; each must be there."""
    paths = [f"tests/{name}" if Path("tests", name).is_dir() else f"tests/{name}.py" for name in names]
    if missing := [path for path in paths if not Path(path).exists()]:
        raise FileNotFoundError(f"noxfile.py names tests that are not there: {', '.join(missing)}")
    return tuple(paths)


# Run by `docs` only, on nox's own Python and without coverage: the documentation shows what one Python prints. They
# reach no line of the package that no other test reaches.
DOCS = existing("docs")

# Tests of the simulator that every Python runs: those of its processes, and `test_determinism_check`, whose pinned
# digests hold that a seed gives the same run on each.
ON_EACH = existing(
    *("sim/campaigns/test_campaign", "sim/campaigns/test_determinism_check"),
    *(f"sim/cluster/test_process{name}" for name in ("es", "_start", "_failures", "_lives", "_end")),
    *("sim/determinism/test_scheduler", "sim/judging/test_store"),
    *("sim/system/test_executables", "sim/system/test_guardian"),
)

# Run on one Python only, by `cover`: what is the same on every other, since a seed gives the same run
# everywhere. The commands among them are those of the simulator.
ONCE = (
    *existing("bench/test_soak", "test_structure", "test_structure_of_tests"),
    *existing(
        *(f"cli/test_{name}" for name in ("arguments", "diagram", "output", "replay", "seeds", "streams", "test"))
    ),
    *sorted({path.as_posix() for path in Path("tests/sim").rglob("test_*.py")} - {*ON_EACH}),
)

# A test that repeats the same work many times takes three times as long under coverage: `cover` runs all of these
# without it, and every other Python those for which the Python matters.
NOT_SLOW, SLOW = ("-m", "not slow"), ("-m", "slow")
ON_OTHER_PYTHONS = ("-m", "not slow or every_python")

# Run on nox's own Python only. The rest is what another Python breaks most easily: nodes as processes, cycles of
# tracebacks, the seeded scheduler, and that a seed gives the same run. The workflow runs these with each Python as
# nox's own, and so does `nox -s lowest`.
ON_OWN_PYTHON = existing(
    *("cli", "nodes", "protocol", "rpc", "sending", "serving", "testing"),
    *("sim/cluster", "sim/judging", "sim/system", "sim/campaigns/test_campaign"),
)

WHICH_PACKAGE = """
import sys, trio_messenger
print("trio_messenger is", trio_messenger.__file__)
if not trio_messenger.__file__.startswith(sys.prefix):
    sys.exit("that is not the installed wheel: is PYTHONPATH set?")
"""


def activate_pyenv_pythons() -> None:
    """Let nox use every Python that pyenv has, the current ones first.

    pyenv puts a `python3.12` on PATH for each Python it has, but one that `pyenv global` does not name fails
    when run.
    """
    pyenv = shutil.which("pyenv")
    if pyenv is None:
        return

    def ask(*args: str) -> list[str]:
        return subprocess.run([pyenv, *args], capture_output=True, text=True, check=False).stdout.split()

    newest_first = reversed(ask("versions", "--bare"))
    released = [name for name in newest_first if re.fullmatch(r"3\.\d+\.\d+", name)]  # no virtualenvs
    os.environ["PYENV_VERSION"] = ":".join(ask("version-name") + released)


activate_pyenv_pythons()


def install(session: nox.Session, *groups: str, pins: Sequence[str] = ()) -> None:
    """Install the built wheel with dependency *groups*, at *pins*; fail if the checkout would be imported instead."""
    [wheel] = (session.cache_dir / "wheel").glob("*.whl")
    # Under `nox -r` pip would keep the wheel it has, as the version is the same. Python compiles what it imports, which
    # is less than pip would.
    how = ("--force-reinstall", "--no-compile")
    session.install(*how, str(wheel), *nox.project.dependency_groups(PYPROJECT, *groups), *pins)
    session.env["PYTHONSAFEPATH"] = "1"  # keeps the current directory off sys.path, in child processes too
    session.env["PYTHONDONTWRITEBYTECODE"] = None  # pytest then keeps the tests it has compiled, for all its processes
    session.run("python", "-c", WHICH_PACKAGE, log=False)


def lowest_allowed(*groups: str) -> list[str]:
    """Return the lowest version that pyproject.toml allows of the package's dependencies and of those in *groups*.

    Those without a lower bound are left out: any version is as good as the latest.
    """
    wanted = [*PYPROJECT["project"]["dependencies"], *nox.project.dependency_groups(PYPROJECT, *groups)]
    bounds = [re.match(r"(?P<name>[\w.-]+(?:\[[\w,]+\])?)(?:>=|~=)(?P<version>[\d.]+)", each) for each in wanted]
    return [f"{bound['name']}=={bound['version']}" for bound in bounds if bound is not None]


def without(*paths: str) -> list[str]:
    """Return what keeps pytest from running the tests in *paths*."""
    return [f"--ignore={path}" for path in paths]


@nox.session
def build(session: nox.Session) -> None:
    """Build the wheel, once per run, for the sessions that install it."""
    target = session.cache_dir / "wheel"
    shutil.rmtree(target, ignore_errors=True)
    session.run("pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(target), ".")


@nox.session
def lint(session: nox.Session) -> None:
    """Check style and formatting."""
    session.install(*nox.project.dependency_groups(PYPROJECT, "lint"))
    session.run("ruff", "check")
    session.run("ruff", "format", "--check")


@nox.session(requires=["build"])
def typing(session: nox.Session) -> None:
    """Type-check package, tests and noxfile; demand types on the whole public API of the wheel."""
    install(session, "typing")
    session.run("mypy", "--num-workers", "2")
    session.run("pyright", "--verifytypes", "trio_messenger", "--ignoreexternal")


@nox.session(requires=["build"], python=PYTHONS)
def tests(session: nox.Session) -> None:
    """Run the tests on each supported Python: `nox -s tests-3.12 -- -k reaper`."""
    install(session, "tests")
    is_other = session.python != OWN
    chosen = [*ON_OTHER_PYTHONS, *without(*DOCS, *ONCE, *(ON_OWN_PYTHON if is_other else ()))]
    session.run("pytest", *PARALLEL, *(session.posargs or chosen))


@nox.session(requires=["build"], python=PYTHONS[0])
def lowest(session: nox.Session) -> None:
    """Run the tests with the lowest versions that pyproject.toml allows, on the oldest Python."""
    install(session, "tests", pins=lowest_allowed("tests"))
    session.run("pip", "freeze", "--exclude", "trio-messenger")
    session.run("pytest", *PARALLEL, *(session.posargs or [*ON_OTHER_PYTHONS, *without(*DOCS, *ONCE)]))


@nox.session(requires=["build"])
def cover(session: nox.Session) -> None:
    """Run all tests, and demand that those that are not marked ``slow`` reach every line and branch."""
    install(session, "cover")
    if not session.posargs:
        # First those without coverage: the first tests have to compile all, and that takes twice as long under it.
        session.run("pytest", *PARALLEL, *SLOW, *without(*DOCS))
    session.run("coverage", "erase")
    session.run("coverage", "run", "-m", "pytest", *PARALLEL, *(session.posargs or [*NOT_SLOW, *without(*DOCS)]))
    session.run("coverage", "combine", "--quiet")
    session.run("coverage", "report")


SPHINX = ("sphinx-build", "-W", "-n", "-q", "-d", "docs/_build/doctrees")  # builders share the pages that were read


def build_pages(session: nox.Session) -> None:
    """Build the documentation; a warning or a dead reference is an error."""
    # -E reads every page again: without it, a page that warned in the last run counts as read, and passes.
    session.run(*SPHINX, "-E", "-b", "html", "docs", "docs/_build/html")


@nox.session(requires=["build"])
def html(session: nox.Session) -> None:
    """Build the documentation, to be read in a browser, in docs/_build/html."""
    install(session, "docs")
    build_pages(session)
    session.log("open docs/_build/html/index.html")


@nox.session(requires=["build"])
def docs(session: nox.Session) -> None:
    """Build the documentation and run its examples; a warning or a dead reference is an error."""
    install(session, "docs", "tests")

    def sphinx() -> None:
        build_pages(session)
        session.run(*SPHINX, "-b", "doctest", "docs", "docs/_build/doctest")

    # Sphinx keeps one core busy, so the tests, which need no built page, run beside it.
    with ThreadPoolExecutor() as pool:
        built = pool.submit(sphinx)
        session.run("pytest", *PARALLEL, *DOCS)
        built.result()


CHROMIUM = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")  # as tests/support/chromium.py


@nox.session(requires=["build"])
def browser(session: nox.Session) -> None:
    """Check the pages of runs and the documentation in headless Chromium: accessibility, scripts, nothing from afar."""
    if not any(map(shutil.which, CHROMIUM)):
        session.skip(f"Chromium is not installed: none of {', '.join(CHROMIUM)} is on PATH")
    install(session, "docs", "browser")
    build_pages(session)
    # One by one, since a figure that they print is a time; then the many pages.
    session.run("pytest", "tests/browser/test_scripts.py")
    session.run("pytest", *PARALLEL, *(session.posargs or ["tests/browser/test_accessibility.py"]))


@nox.session
def release(session: nox.Session) -> None:
    """Build what is uploaded for a release, in dist/, and check that it is complete; nothing is uploaded."""
    session.install(*nox.project.dependency_groups(PYPROJECT, "release"))
    shutil.rmtree("dist", ignore_errors=True)
    session.run("python", "-m", "build")
    session.run("twine", "check", "--strict", *map(str, sorted(Path("dist").iterdir())))
    session.run("python", "-m", "venv", "--clear", f"{session.create_tmp()}/venv")
    [wheel] = Path("dist").glob("*.whl")
    python = f"{session.create_tmp()}/venv/bin/python"
    session.run(python, "-m", "pip", "install", "--quiet", str(wheel), external=True)
    session.run(python, "-P", "-m", "trio_messenger", "--version", external=True)


@nox.session(requires=["build"])
def bench(session: nox.Session) -> None:
    """Measure: `nox -s bench -- ARGS` hands ARGS to tests/bench/run.py."""
    install(session, "tests")  # with what NATS needs
    session.run("python", "tests/bench/run.py", *session.posargs)


@nox.session(requires=["build"])
def soak(session: nox.Session) -> None:
    """Serve a mixed load for ten minutes, on stdio and on NATS: `nox -s soak -- --seconds 60` for a short one."""
    install(session, "tests")  # with what NATS needs
    session.run("python", "tests/bench/soak.py", *session.posargs)
    session.run("python", "tests/bench/soak_nats.py", *session.posargs)


@nox.session(requires=["build"])
def cluster(session: nox.Session) -> None:
    """Judge real clusters on NATS while machines are cut off: ARGS, names of scenarios, go to nats_cluster.py."""
    install(session, "tests")  # with what NATS needs
    session.run("python", "tests/bench/nats_cluster.py", *session.posargs)


@nox.session(requires=["build"])
def campaign(session: nox.Session) -> None:
    """Catch every wrong node, pass every right one, with hundreds of seeds: ARGS go to tests/sim/campaign_run.py."""
    install(session)
    session.run("python", "tests/sim/campaign_run.py", *session.posargs)
