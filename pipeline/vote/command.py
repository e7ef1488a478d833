"""What `atelier vote` does and shows."""

from __future__ import annotations

from pipeline import show
from pipeline.terminal import hint, out, shown
from pipeline.vote.ballots import read, standing
from pipeline.vote.sides import Pair, find_model, find_pair, write_labels
from pipeline.vote.tally import count, sentences
from pipeline.workspace import Workspace


def run(workspace: Workspace, name: str, against: str | None, most: int, port: int, browser: bool) -> None:
    """Paint what is voted on, and serve the page until Ctrl-C; then say what the votes are.

    Args:
        workspace: whose photographs and registry.
        name: `NAME`, `NAME@VERSION`, `NAME@alias`, or a package's folder.
        against: the same, or a control's name; None for the champion, or Lab transfer.
        most: photographs, at most.
        port: to listen on; 0 takes a free one.
        browser: whether to open the page in one.

    Raises:
        ValueError: nothing of that name, the same on both sides, no photograph, or a port that cannot be used.
    """
    pair = find_pair(workspace, name, against)
    from pipeline.vote.booth import Booth
    from pipeline.vote.pictures import exhibits
    from pipeline.vote.server import listen, server

    listener = listen(port)
    with listener, show.file_progress(f"paint {pair.model.label} and {pair.rival.label}") as advance:
        painted = exhibits(workspace, pair, most, advance)
        write_labels(workspace, pair)
        booth = Booth(painted, pair.ballots(workspace))
        address = f"http://127.0.0.1:{listener.getsockname()[1]}/"
        out.print(f"{pair.model.label} against {pair.rival.label}: {len(painted)} pairs to vote on", markup=False)
        opened = browser and show.open_page(address)
        out.print(f"voting page{' (opened in the browser)' if opened else ''}: {address}", markup=False)
        out.print("Ctrl-C ends the vote")
        try:
            server(booth).run(sockets=[listener])
        except KeyboardInterrupt:
            pass  # it is how a vote ends
    out.print(_closing(workspace, pair, booth.cast_here), markup=False)
    hint(workspace, f"vote {name} --tally")


def show_tally(workspace: Workspace, name: str) -> None:
    """Print what painters said of a package so far.

    Raises:
        ValueError: nothing of that name.
    """
    model = find_model(workspace, name)
    said = sentences(workspace, model.key)
    out.print(f"{model.label}:{'' if said else ' nobody has voted on it yet'}", markup=False)
    for sentence in said:
        out.print(f"  {sentence}", markup=False)
    if not said:
        hint(workspace, f"vote {name}")


def _closing(workspace: Workspace, pair: Pair, cast: int) -> str:
    """Return what a vote ends with."""
    path = pair.ballots(workspace)
    box = read(path)
    if not box.ballots:
        return f"The vote on {pair.model.label} ended without a ballot."
    model, rival = pair.model, pair.rival
    found = count(standing(box.ballots), model.key, rival.key, rival.label)
    added = f"{cast} {'vote' if cast == 1 else 'votes'} added on {model.label}."
    torn = f" {box.damaged} damaged {'line' if box.damaged == 1 else 'lines'} not counted." if box.damaged else ""
    return f"{added} {found.sentence}{torn} All votes lie in {shown(path)}"
