"""Remembers which evaluators the user has confirmed that only a campaign's records name.

``nas.run(folder, evaluator=...)`` records the name of the evaluator, so that a later ``nas run``
can go on with it. But whoever has made the folder can write any name there, so the command line
asks once: ``nas run FOLDER --trust``. The answer is kept in the user's own files, because the
folder could have been prepared. It holds for one folder, one evaluator and, if the evaluator is a
file, this content of the file.
"""

import json
import os
from hashlib import blake2b
from pathlib import Path

from nas.campaigns.store.log import read_records
from nas.campaigns.store.types import Header
from nas.errors import CampaignError, InputError
from nas.files import at_home, read_json, write_whole
from nas.user_code import is_file, sources


def check_trusted(folder: Path, evaluator: str) -> None:
    """Raises :class:`InputError` if the user has not confirmed the recorded evaluator."""
    if _known().get(_key(folder)) != _digest(evaluator):
        raise InputError(
            f"{folder / 'records.jsonl'}:1: evaluator: only the records name {evaluator}, which "
            "would be called. If you trust this folder, confirm it once: "
            f"nas run {folder} --trust"
        )


def trust(folder: Path) -> None:
    """Confirms the evaluator that the records of a campaign name, for this and later runs.

    Raises :class:`nas.errors.CampaignError` if this cannot be kept.
    """
    first = next(iter(read_records(folder)), None)
    if not isinstance(first, Header) or not first.evaluator:
        return
    path = _path()
    try:
        if not path.is_absolute():
            raise OSError(0, "the path is not absolute")
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise CampaignError(
            f"{path}: cannot be written: {error.strerror}; set XDG_STATE_HOME to a folder that can"
        ) from None
    write_whole(path, json.dumps({**_known(), _key(folder): _digest(first.evaluator)}).encode())


def _path() -> Path:
    """Returns the file, where the XDG Base Directory Specification puts the state of programs."""
    state = os.environ.get("XDG_STATE_HOME") or "~/.local/state"
    return at_home(state) / "nas" / "trusted.json"


def _known() -> dict[str, str]:
    if not _path().exists():
        return {}
    found = read_json(_path())
    return found if isinstance(found, dict) else {}


def _key(folder: Path) -> str:
    return str(folder.resolve())


def _digest(evaluator: str) -> str:
    """Returns a hash of the name and of the files of an evaluator."""
    code = sorted(sources(evaluator).values()) if is_file(evaluator) else []
    return blake2b(json.dumps([evaluator, code]).encode(), digest_size=16).hexdigest()
