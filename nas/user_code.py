"""Loads code that a user names: ``path/to/file.py:attribute`` or ``package.module:attribute``.

The files of each folder become the modules of a package that only they can see. So a file can
import its neighbours, two folders can hold files with the same name, and a user's ``random.py``
does not replace Python's module.
"""

from __future__ import annotations

import ast
import builtins
import importlib
import importlib.util
import os
import sys
import sysconfig
from collections.abc import Callable, Iterable, Iterator, Sequence
from hashlib import blake2b
from importlib.machinery import FileFinder, ModuleSpec, SourceFileLoader
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any

from nas.errors import InputError
from nas.files import at_home

FORMS = "file.py:NAME or package.module:NAME"
"""The forms in which users name code, for messages."""

PACKAGES = "nas_user_"
"""The beginning of the names of the packages that are made for users' folders."""

_INSTALLED = tuple(Path(sysconfig.get_path(each)).resolve() for each in ("stdlib", "purelib"))


def is_code(name: str) -> bool:
    """Tells if a name has the form ``file.py:attribute`` or ``package.module:attribute``."""
    place, colon, attribute = name.rpartition(":")
    if not colon or not attribute.isidentifier():
        return False
    return is_file(name) or all(part.isidentifier() for part in place.split("."))


def is_file(name: str) -> bool:
    """Tells if a name has the form ``file.py:attribute``."""
    return name.rpartition(":")[0].endswith(".py")


def absolute(name: str, folder: Path) -> str:
    """Makes the path in ``file.py:attribute`` absolute; relative paths start at ``folder``.

    Other names are returned unchanged.
    """
    if not is_file(name):
        return name
    place, _, attribute = name.rpartition(":")
    return f"{os.path.abspath(folder / at_home(place))}:{attribute}"


def relative(name: str, folder: Path) -> str:
    """Makes the path in ``file.py:attribute`` relative to ``folder``.

    Names are recorded in this form, because it stays valid if a campaign is moved together with
    its files. Other names are returned unchanged.
    """
    if not is_file(name):
        return name
    place, _, attribute = name.rpartition(":")
    return f"{Path(os.path.relpath(place, folder)).as_posix()}:{attribute}"


def short_name(name: str) -> str:
    """Returns a name without its file or module: ``MySearcher`` for ``mine.py:MySearcher``."""
    return name.rpartition(":")[2]


def load_module(name: str, label: str) -> ModuleType:
    """Imports the module of ``file.py:attribute`` or ``package.module:attribute``.

    The relative path of a file starts at the current folder. The modules of a folder are imported
    once, and again if one of their files has changed.

    Raises :class:`InputError`, which begins with ``label``, if the name has another form, the file
    or module does not exist, it is not valid Python, or it ends the program. Exceptions of the code
    itself are passed on.
    """
    if not is_code(name):
        raise InputError(f"{label}: must be {FORMS}, got {name!r}")
    place = name.rpartition(":")[0]
    try:
        if is_file(name):
            return _from_file(Path(place))
        if str(Path.cwd()) not in sys.path:
            sys.path.append(str(Path.cwd()))
        return importlib.import_module(place)
    except SystemExit as error:
        raise InputError(
            f"{label}: {place} ended the program while it was imported (SystemExit: {error.code})"
        ) from None
    except SyntaxError as error:
        file = Path(error.filename or place).name
        raise InputError(
            f"{label}: {file}:{error.lineno}: is not valid Python: {error.msg}"
        ) from None
    except ModuleNotFoundError as error:
        if is_file(name) or not f"{place}.".startswith(f"{error.name}."):
            raise  # the user's code imports this module
        raise InputError(f"{label}: no module {error.name!r}; allowed: {FORMS}") from None


def sources(name: str) -> dict[Path, str]:
    """Returns the checksum of each source file that ``module:attribute`` uses.

    These are the named file, which comes first, and the files that it imports, directly or not,
    from its own folder and the folders below. For an installed package, they are files of this
    package. Imports inside functions are included; imports by ``importlib`` are not.
    """
    place = name.rpartition(":")[0]
    if is_file(name):
        path = Path(place).resolve()
        return _walk(path, path.parent, lambda top: _is_beside(path.parent, top))
    first, *_ = place.split(".")
    whole = importlib.util.find_spec(place)
    if whole is None or whole.origin is None or not Path(whole.origin).is_file():
        return {}
    root = _root(name)
    installed = any(root == each for each in _INSTALLED)
    return _walk(
        Path(whole.origin).resolve(),
        root,
        lambda top: top == first or (not installed and top != "nas" and _is_beside(root, top)),
    )


def _root(name: str) -> Path:
    """Returns the folder with the top-level package or module of ``module:attribute``."""
    spec = importlib.util.find_spec(name.partition(":")[0].partition(".")[0])
    assert spec is not None
    places = list(spec.submodule_search_locations or ())
    return Path(places[0] if places else str(spec.origin)).resolve().parent


def portable(value: Any, folder: Path) -> Any:
    """Makes the paths of users' files in plain values relative to ``folder``."""
    return _placed(value, lambda name: relative(name, folder))


def rooted(value: Any, folder: Path) -> Any:
    """Makes the paths of users' files in plain values absolute; they start at ``folder``."""
    return _placed(value, lambda name: absolute(name, folder))


def _placed(value: Any, place: Callable[[str], str]) -> Any:
    if isinstance(value, str):
        return place(value)
    if isinstance(value, dict):
        return {key: _placed(item, place) for key, item in value.items()}
    return [_placed(item, place) for item in value] if isinstance(value, list) else value


def checksums(names: Iterable[str], folder: Path) -> dict[str, str]:
    """Returns the checksums of all source files of the user's code, by path.

    Names of built-in parts are skipped. Paths are relative to ``folder``; those of a package are
    relative to the folder that holds the package.
    """
    found: dict[str, str] = {}
    for name in filter(is_code, names):
        for path, checksum in sources(name).items():
            start = folder if is_file(name) else _root(name)
            found[Path(os.path.relpath(path, start.resolve())).as_posix()] = checksum
    return found


def user_packages() -> list[ModuleType]:
    """Returns the packages that were made for users' folders in this process."""
    return [m for name, m in sys.modules.items() if name.startswith(PACKAGES) and "." not in name]


def _from_file(path: Path) -> ModuleType:
    if not path.is_file():
        raise InputError(f"{path}: cannot be read: No such file or directory")
    path = path.resolve()
    package = _package(path.parent)
    name = f"{package}.{path.stem.replace('.', '_')}"
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, path, loader=_Loader(name, str(path)))
        assert spec is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        try:
            _Loader(name, str(path)).exec_module(module)
        except BaseException:
            del sys.modules[name]
            raise
    return sys.modules[name]


def _package(folder: Path) -> str:
    """Makes the package of a folder, and forgets its modules if one of their files has changed."""
    name = PACKAGES + blake2b(str(folder).encode(), digest_size=8).hexdigest()
    inside = [each for each in sys.modules if each.startswith(f"{name}.")]
    if any(_has_changed(sys.modules[each]) for each in inside):
        for each in inside:
            del sys.modules[each]
    if name not in sys.modules:
        spec = ModuleSpec(name, None, is_package=True)
        spec.submodule_search_locations = [str(folder)]
        sys.modules[name] = importlib.util.module_from_spec(spec)
    return name


def _has_changed(module: ModuleType) -> bool:
    loaded = getattr(module, "__loaded_source__", None)
    if loaded is None:  # a folder without __init__.py
        return False
    try:
        return bool(Path(str(module.__file__)).read_bytes() != loaded)
    except OSError:
        return True


class _Loader(SourceFileLoader):
    """Loads a user's file, whose imports also look into its folder."""

    def get_code(self, fullname: str) -> CodeType:
        """Compiles the file as it is now, without Python's cache.

        The cache does not notice a second change within one second.
        """
        path = self.get_filename(fullname)
        code: CodeType = self.source_to_code(self.get_data(path), path)
        return code

    def exec_module(self, module: ModuleType) -> None:
        """Runs the file."""
        package = module.__name__.partition(".")[0]
        module.__dict__["__loaded_source__"] = self.get_data(self.get_filename(module.__name__))
        module.__dict__["__builtins__"] = {**vars(builtins), "__import__": _importer(package)}
        super().exec_module(module)


class _Finder:
    """Finds the modules of the packages that :func:`_package` makes."""

    @staticmethod
    def find_spec(
        fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Finds a module: see :meth:`importlib.abc.MetaPathFinder.find_spec`."""
        if fullname.startswith(PACKAGES):
            for folder in path or ():
                if spec := FileFinder(folder, (_Loader, [".py"])).find_spec(fullname):
                    return spec
        return None


sys.meta_path.insert(0, _Finder)


def _importer(package: str) -> Callable[..., Any]:
    """Makes the function that ``import`` calls in the files of a package.

    With it, a file imports its neighbours by their short names.
    """
    folder = Path(sys.modules[package].__path__[0])

    def importer(
        name: str,
        globals: Any = None,
        locals: Any = None,
        fromlist: Sequence[str] = (),
        level: int = 0,
    ) -> ModuleType:
        first = name.partition(".")[0]
        if level or not _is_beside(folder, first):
            return __import__(name, globals, locals, fromlist, level)
        module = importlib.import_module(f"{package}.{name}")
        if fromlist:
            return __import__(module.__name__, globals, locals, fromlist)
        return sys.modules[f"{package}.{first}"]

    return importer


def _is_beside(folder: Path, name: str) -> bool:
    """Tells if a top-level module is in this folder and nowhere else on Python's path."""
    if not ((folder / f"{name}.py").is_file() or (folder / name).is_dir()):
        return False
    if name in sys.stdlib_module_names:
        return False
    try:
        spec = importlib.util.find_spec(name)
    except (ImportError, ValueError):  # a module that code has made has no spec
        return False
    if spec is None or spec.origin is None:  # nowhere, or a folder without __init__.py
        return True
    return Path(spec.origin).resolve().is_relative_to(folder.resolve())


def _walk(file: Path, root: Path, follows: Callable[[str], bool]) -> dict[Path, str]:
    found: dict[Path, str] = {}
    waiting = [file]
    while waiting:
        path = waiting.pop(0)
        if path in found or not path.is_file():
            continue
        content = path.read_bytes()
        found[path] = blake2b(content, digest_size=8).hexdigest()
        package = path.parent.relative_to(root).parts
        for parts in _imported(content, package):
            if parts and (follows(parts[0]) or parts[: len(package)] == package != ()):
                for depth in range(1, len(parts) + 1):
                    place = root.joinpath(*parts[:depth])
                    waiting += [place.with_name(f"{place.name}.py"), place / "__init__.py"]
    return found


def _imported(content: bytes, package: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    """Yields the full names of a file's imports; for ``from a import b`` both ``a`` and ``a.b``."""
    try:
        nodes = list(ast.walk(ast.parse(content)))
    except (SyntaxError, ValueError):
        return
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from (tuple(alias.name.split(".")) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else ()
            module = (*above, *(node.module.split(".") if node.module else ()))
            yield from ((*module, alias.name) for alias in node.names)
