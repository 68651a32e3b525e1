"""A process that runs verbs and notes what an audit hook sees of it, as JSON on its last line.

Run by the tests: ``python audited_child.py VERBS`` with a JSON list of argument lists.
"""

from __future__ import annotations

import json
import os
import sys
from typing import Any

WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
#: Event -> which of its arguments are paths that are made, changed or removed.
CHANGES = {
    "os.mkdir": (0,),
    "os.rename": (0, 1),
    "os.remove": (0,),
    "os.rmdir": (0,),
    "os.symlink": (1,),
    "os.link": (1,),
    "os.truncate": (0,),
    "os.chmod": (0,),
    "os.utime": (0,),
    "shutil.rmtree": (0,),
}
PROCESSES = ("subprocess.Popen", "os.exec", "os.posix_spawn", "os.fork", "os.forkpty", "os.system")

seen: dict[str, set[str]] = {
    name: set() for name in ("written", "code", "unpickled", "processes", "connections")
}


def place(path: Any) -> str | None:
    """An absolute path; None for what is only a descriptor."""
    if isinstance(path, int) or path is None:
        return None
    return os.path.abspath(os.fsdecode(path))  # noqa: PTH100  # links are not followed


def hook(event: str, arguments: tuple[Any, ...]) -> None:
    if event == "open":
        path, mode, flags = arguments
        writing = flags & WRITING if isinstance(flags, int) else set(mode or "") & set("wax+")
        if writing and (written := place(path)):
            seen["written"].add(written)
    elif event in CHANGES:
        for at in CHANGES[event]:
            if changed := place(arguments[at]):
                seen["written"].add(changed)
    elif event == "exec":
        seen["code"].add(getattr(arguments[0], "co_filename", "?"))
    elif event == "compile":
        seen["code"].add(str(arguments[1]) if arguments[1] is not None else "<none>")
    elif event == "pickle.find_class":
        seen["unpickled"].add(f"{arguments[0]}.{arguments[1]}")
    elif event in PROCESSES:
        seen["processes"].add(f"{event} {arguments[0]!r}")
    elif event == "socket.connect":
        seen["connections"].add(repr(arguments[1]))


def main() -> None:
    """Run the verbs one after the other."""
    sys.addaudithook(hook)
    from geneb_jax.cli.main import main as geneb

    codes = []
    for verb in json.loads(sys.argv[1]):
        try:
            geneb(verb)
        except SystemExit as stop:
            codes.append(stop.code)
    found: dict[str, Any] = {name: sorted(values) for name, values in seen.items()}
    print("\n" + json.dumps({**found, "codes": codes}))


if __name__ == "__main__":
    main()
