"""Benchmarks from the hub into the workspace, each whole or not at all."""

import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

from osft_download.benchmarks.card import write_card
from osft_download.benchmarks.listing import Listing, Listings
from osft_download.meter import Meter
from osft_workspace import Run, publish_dir, tree_digest
from osft_workspace.benchmarks import Staged, Wanted, find, is_whole, note, place_of
from osft_workspace.digests import tree_files
from osft_workspace.files import check_plain, is_folder
from osft_workspace.lock import exclusive


def stage_all(run: Run, asked: Sequence[Wanted], timeout: float) -> None:
    """Download everything that the tasks ask.

    Raises:
        UserError, Transient: the hub failed, or a dataset is not what the task expects.
    """
    with tempfile.TemporaryDirectory() as scratch:
        listings = Listings(run, timeout, Path(scratch).resolve())
        staged = [stage(run, wanted, listings) for wanted in asked]
    total = sum(found.bytes for found in staged)
    run.event("benchmarks are in the workspace", number=len(staged), bytes=total)


def stage(run: Run, wanted: Wanted, listings: Listings) -> Staged:
    """Download one benchmark, or find it in the workspace: it stays at the commit that was downloaded first.

    One start at a time works on one benchmark; a killed one leaves its part for the next.
    """
    place = place_of(run.workspace, wanted)
    place.parent.mkdir(parents=True, exist_ok=True)
    with exclusive(
        place.with_suffix(".lock"),
        lambda s: run.event("waiting for another start to fetch the benchmark", seconds=round(s)),
    ):
        found = find(run.workspace, wanted)
        if found is not None and is_whole(run.workspace, found):
            return found
        if found is not None:
            run.event("benchmark is damaged or gone, fetching it again", dataset=wanted.shown)
        staged = fetch(run, wanted, listings.of(wanted), place)
        note(run.workspace, staged)
        shutil.rmtree(place, ignore_errors=True)
    return staged


def fetch(run: Run, wanted: Wanted, listing: Listing, place: Path) -> Staged:
    """Load the files of a benchmark, and publish them under the digest of their content."""
    (config, names), repo = listing.files_of(wanted), listing.repo
    expected = sum(listing.sizes[name] for name in names)
    run.event("fetching the benchmark", dataset=wanted.shown, revision=repo.revision, bytes=expected)
    check_plain(place, "where the benchmark is assembled")
    place.mkdir(exist_ok=True)
    meter, before = Meter(run, f"fetching {wanted.shown}", expected), 0
    for name in names:
        before += repo.load(name, place, meter).stat().st_size
        meter.at(before)
    shutil.rmtree(place / ".cache", ignore_errors=True)  # the hub client's own notes
    for path in tree_files(place):
        if path.relative_to(place).as_posix() not in names:
            path.unlink()  # of another commit, by a start that was killed
    write_card(listing.root, place, config)
    digest = tree_digest(place)
    staged = Staged(wanted, repo.revision, digest, before, len(names))
    target = run.workspace.root / staged.path
    with exclusive(place.with_name("publish.lock"), lambda s: None):
        if not is_folder(target) or tree_digest(target) != digest:
            publish_dir(place, target)
    return staged
