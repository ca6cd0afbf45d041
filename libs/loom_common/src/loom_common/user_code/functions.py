"""Loads the user's Python functions, named `module:name`.

A module beside the pipeline file wins over an installed one. It is imported under a private name, with an
`__import__` of its own that looks beside it first. So two pipelines may each have a `transforms.py`, with
`helpers.py` of their own, in one worker; and nothing is put on `sys.path`."""

from __future__ import annotations

import builtins
import difflib
import hashlib
import importlib
import importlib.machinery
import importlib.util
import sys
import threading
import traceback
from collections.abc import Callable, Mapping, Sequence
from importlib.abc import MetaPathFinder
from pathlib import Path
from types import ModuleType
from typing import Any

from loom_common.errors import UserCodeError
from loom_common.foreign_code.imports import ImportHangs, imported
from loom_common.foreign_code.process_guard import own_frame
from loom_common.plugins.callables import given, is_given
from loom_common.text import named

_PREFIX = "_loom_beside_"
_WRITTEN = "__loom_written__"
"""The name by which a module knows when its file was written last, in nanoseconds, as it was read."""
_lock = threading.RLock()


def load_function(reference: str, folder: Path) -> Callable[..., Any]:
    """Load what `module:name` names, for a pipeline in `folder`: a function, or a class or object that can be called.

    Raises `UserCodeError` naming module, name, folder and what was found."""
    if is_given(reference):
        return given(reference)  # type: ignore[no-any-return]  # what Python code gave is callable
    module_name, _, name = reference.partition(":")
    module = _module(module_name, reference, folder.resolve())
    found = getattr(module, name, None)
    if found is None:
        there = [word for word, value in vars(module).items() if callable(value) and not word.startswith("_")]
        close = difflib.get_close_matches(name, there, n=1)
        hint = f" Did you mean '{close[0]}'?" if close else ""
        raise UserCodeError(
            f"'{reference}': the module {module_name} ({_place(module)}) has no '{name}'; "
            f"it has {', '.join(sorted(there)) or 'no function'}.{hint}"
        )
    if not callable(found):
        raise UserCodeError(f"'{reference}': {name} in {_place(module)} is {type(found).__name__}, not a function.")
    return found  # type: ignore[no-any-return]  # it was seen to be callable


def have_changed() -> bool:
    """Tell whether the file of a module that was loaded from beside a pipeline is another one now, or gone."""
    return any(_written(str(module.__file__)) != read for module, read in _loaded())


def forget() -> None:
    """Let the modules that were loaded from beside pipelines be read anew by whoever asks for them next. Functions that
    are held already stay as they are."""
    with _lock:
        for name in _beside():
            del sys.modules[name]
    importlib.invalidate_caches()


def _loaded() -> list[tuple[ModuleType, int | None]]:
    """Return the modules with the time when the file of each was written, as it was read."""
    modules = _beside().values()
    return [(module, vars(module)[_WRITTEN]) for module in modules if _WRITTEN in vars(module)]


def _beside() -> dict[str, ModuleType]:
    """Return the modules that were loaded from beside pipelines, by their private names. Other threads import modules
    meanwhile, so this looks at a copy, which `dict.copy` makes in one step of the interpreter."""
    return {name: module for name, module in sys.modules.copy().items() if name.startswith(_PREFIX)}


def _written(file: str) -> int | None:
    try:
        return Path(file).stat().st_mtime_ns
    except OSError:
        return None


def _module(module_name: str, reference: str, folder: Path) -> ModuleType:
    beside = file_beside(folder, module_name) is not None
    name = f"{_package(folder)}.{module_name}" if beside else module_name
    try:
        return imported(name, lambda: importlib.import_module(name))
    except ImportHangs as error:
        raise UserCodeError(f"'{reference}': {module_name} cannot be used: {error}.") from error
    except ModuleNotFoundError as error:
        if error.name != module_name:
            raise UserCodeError(_broken(reference, module_name, error)) from error
        files = sorted(path.name for path in folder.glob("*.py")) if folder.is_dir() else []
        raise UserCodeError(
            f"'{reference}': there is no module {module_name} in {folder} "
            f"(Python files there: {', '.join(files) or 'none'}), and none of that name is installed."
        ) from error
    except BaseException as error:  # importing runs the user's code, which may raise anything
        raise UserCodeError(_broken(reference, module_name, error)) from error


def _broken(reference: str, module_name: str, error: BaseException) -> str:
    frames = traceback.extract_tb(error.__traceback__)
    theirs = [frame for frame in frames if frame.filename != __file__ and not own_frame(frame.filename)]
    own = [frame for frame in theirs if "importlib" not in frame.filename]
    where = f" ({own[-1].filename}:{own[-1].lineno})" if own else ""
    return f"'{reference}': importing {module_name} failed{where}: {named(error)}"


def _place(module: ModuleType) -> str:
    return str(module.__file__ or module.__name__)


def file_beside(folder: Path, module_name: str) -> Path | None:
    """Return the file of a module's package, or of the module, where it lies in the folder; else None."""
    top = module_name.partition(".")[0]
    if not top or any(mark in module_name for mark in "/\\\0"):
        return None
    files = (folder / f"{top}.py", folder / top / "__init__.py")
    return next((file for file in files if file.is_file()), None)


def _package(folder: Path) -> str:
    """Return the private package that stands for `folder`, made at first sight."""
    name = _PREFIX + hashlib.sha256(str(folder).encode()).hexdigest()[:16]
    with _lock:
        if name not in sys.modules:
            package = ModuleType(name, f"Python modules in {folder}.")
            package.__path__ = [str(folder)]
            sys.modules[name] = package
        if not any(isinstance(finder, _Finder) for finder in sys.meta_path):
            sys.meta_path.insert(0, _Finder())
    return name


class _Finder(MetaPathFinder):
    """Finds modules of private packages, and gives them their own `__import__`."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if not fullname.startswith(_PREFIX):
            return None
        spec = importlib.machinery.PathFinder.find_spec(fullname, path, target)
        if spec is not None and isinstance(spec.loader, importlib.machinery.SourceFileLoader):
            spec.loader = _Loader(spec.loader.name, spec.loader.path)
        return spec


class _Loader(importlib.machinery.SourceFileLoader):
    def path_stats(self, path: str) -> Mapping[str, Any]:
        """Return when the file was written in microseconds: compiled code is kept with this time, and by seconds a file
        that is written twice in one of them, with as many bytes, would be its older self."""
        stats = super().path_stats(path)
        return {**stats, "mtime": int(stats["mtime"] * 1_000_000)}

    def exec_module(self, module: ModuleType) -> None:
        package = module.__name__.partition(".")[0]
        folder = Path(sys.modules[package].__path__[0])
        vars(module)[_WRITTEN] = _written(self.path)
        vars(module)["__builtins__"] = {**vars(builtins), "__import__": _importer(package, folder)}
        super().exec_module(module)


def _importer(package: str, folder: Path) -> Callable[..., ModuleType]:
    def import_beside(
        name: str,
        globals: Mapping[str, object] | None = None,  # noqa: A002 - the names of `__import__` itself
        locals: Mapping[str, object] | None = None,  # noqa: A002 - as above
        fromlist: Sequence[str] = (),
        level: int = 0,
    ) -> ModuleType:
        if level or file_beside(folder, name) is None:
            return builtins.__import__(name, globals, locals, fromlist, level)
        module = builtins.__import__(f"{package}.{name}", globals, locals, fromlist, 0)
        return module if fromlist else sys.modules[f"{package}.{name.partition('.')[0]}"]

    return import_beside
