"""What the site takes from outside of `docs/`, for mkdocs."""

import pathlib
import re

from mkdocs.structure.files import File

ROOT = pathlib.Path(__file__).resolve().parents[1]
#: Pages and pictures of the repository that are pages and pictures of the site.
TAKEN = ("CHANGELOG.md", "CONTRIBUTING.md", "benchmarks/README.md")
PICTURES = "benchmarks/*.png"


def on_files(files, config):
    """Add them, under the paths that they have in the repository."""
    pictures = [str(path.relative_to(ROOT)) for path in ROOT.glob(PICTURES)]
    for name in (*TAKEN, *sorted(pictures)):
        files.append(File.generated(config, name, abs_src_path=str(ROOT / name)))
    return files


def on_page_markdown(markdown, page, config, files):
    """On the site there is no folder `docs` around the pages."""
    if page.file.src_uri in TAKEN:
        return re.sub(r"\]\((\.\./)?docs/", r"](\1", markdown)
    names = "|".join(("benchmarks/", *map(re.escape, TAKEN)))
    return re.sub(rf"\]\(\.\./((?:\.\./)*(?:{names}))", r"](\1", markdown)
