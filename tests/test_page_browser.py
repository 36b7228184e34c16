"""The page in a real browser: nothing runs off a phone's screen."""

import html
import re
import shutil
import subprocess

import pytest
from pages import LOSS
from pages import POINTS
from pages import RHO
from pages import SPARSE
from pages import reported
from pages import small

from tf_admm.reporting import page

pytestmark = pytest.mark.skipif(
    shutil.which("chromium") is None, reason="needs Chromium (`apt install chromium`)"
)
#: Nothing but the page: no network, no first run, no profile of anyone's.
QUIET = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
#: The page in a frame of a phone's width, all of it opened, and what it measures.
FRAME = """<!doctype html><iframe style="border:0;width:{width}px;height:844px"
srcdoc="{page}"></iframe><script>
const frame = document.querySelector("iframe");
frame.onload = () => {{
  const page = frame.contentDocument;
  for (const part of page.querySelectorAll("details")) part.open = true;
  const far = [...page.querySelectorAll("svg, h1, p, .card, .scroll, figure")]
    .map(part => part.getBoundingClientRect()).map(box => [box.right, box.width]);
  document.title = [page.documentElement.scrollWidth,
    Math.max(...far.map(x => x[0])), Math.min(...far.map(x => x[1])), far.length,
    frame.contentWindow.getComputedStyle(page.body).backgroundColor].join(";");
}};
</script>"""


@pytest.fixture(scope="module")
def shown(tmp_path_factory):
    """A page with each of its sections, and names that are too long for a line."""
    folder = tmp_path_factory.mktemp("browser")
    model = small(name="a_model_with_a_name_" * 6)
    uses = {"first/kernel": 1, "last/kernel": 1}
    report = reported(model, SPARSE, uses=uses)
    history = {"loss": LOSS, "rho": RHO}
    path = folder / "page.html"
    page.write(path, model, report, history, POINTS, bound=0.32)
    return path


def measured(path, width, folder, *options):
    """What the page measures in a frame of so many pixels."""
    frame = folder / "frame.html"
    text = html.escape(path.read_text(encoding="utf-8"))
    frame.write_text(FRAME.format(page=text, width=width), encoding="utf-8")
    command = [shutil.which("chromium"), *QUIET, f"--user-data-dir={folder / 'user'}"]
    done = subprocess.run(
        [*command, *options, "--dump-dom", frame.as_uri()],
        capture_output=True,
        text=True,
        timeout=120,
    )
    found = re.search("<title>([^<]*;[^<]*)</title>", done.stdout)
    assert found, done.stderr[-2000:]
    *numbers, color = found[1].split(";")
    return [float(number) for number in numbers], color


@pytest.mark.parametrize("width", [390, 1280])
def test_nothing_runs_off_the_screen(width, shown, tmp_path):
    (scrolls, right, narrowest, parts), _ = measured(shown, width, tmp_path)
    assert scrolls <= width and right <= width
    # Pictures of frontier, bytes, multiplications, loss, rho, and two masks.
    assert parts > 7 and narrowest > 100


def test_dark_is_dark(shown, tmp_path):
    def brightness(*options):
        _, color = measured(shown, 390, tmp_path, *options)
        return sum(map(int, re.findall(r"\d+", color)[:3]))

    assert brightness("--blink-settings=preferredColorScheme=0") < 150
    assert brightness("--blink-settings=preferredColorScheme=1") > 600
