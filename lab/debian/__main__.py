"""``python -m lab.debian OUTPUT``: put a Debian cloud image made from packages there; with ``--built``, ours."""

from __future__ import annotations

import shutil
import sys
import tempfile
from pathlib import Path
from typing import Annotated

import typer

from lab.debian import ImageError, built_image, stock_image


def put(
    output: Annotated[Path, typer.Argument(help="the qcow2 file to write; there complete or not at all")],
    built: Annotated[
        bool, typer.Option("--built", help="our base image, built from it by Packer in emulation")
    ] = False,
) -> None:
    """Make a Debian 12 cloud image from packages, where none can be downloaded.

    Needs root, and the package mirror that this machine's apt uses. Made images are kept in
    ~/.cache/inference-cloud/images, so a second call only copies.

    Examples: python -m lab.debian stock.qcow2; python -m lab.debian --built base.qcow2
    """
    if output.exists():
        raise ImageError(f"{output} is there already; delete it, or name another file")
    if not output.absolute().parent.is_dir():
        raise ImageError(f"the folder of {output} is not there; make it: mkdir -p {output.parent}")
    source = built_image(lambda line: print(line, file=sys.stderr)) if built else stock_image()
    with tempfile.TemporaryDirectory(prefix=f".{output.name}.", dir=output.absolute().parent) as work:
        shutil.copyfile(source, Path(work) / "copy")
        (Path(work) / "copy").rename(output)
    print(output)


def main() -> None:
    """Run; what cannot be done is told in its own words."""
    try:
        typer.run(put)
    except ImageError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(1)


if __name__ == "__main__":
    main()
