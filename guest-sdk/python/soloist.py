"""What a Soloist plugin in Python is written with, beside the bindings that componentize-py makes of the contract.

    import soloist
    import wit_world

    @soloist.plugin
    class WitWorld(wit_world.WitWorld):
        async def on_elected(self, term):
            while True:
                print(f"{term.host} leads")
                await soloist.sleep(1)

        async def on_demoted(self, reason):
            print(f"demoted: {reason.name.lower()}")

When demotion begins, `on_elected` is cancelled where it waits, like any task of asyncio: its `finally` blocks run, and then
`on_demoted` is called, with the same `self`. A `time.sleep` ends then as well, and raises `asyncio.CancelledError`; a function
that computes for long can call `checkpoint()`. An exception is written to the log, a line for each of its lines, and the
host runs the plugin again.
"""

import asyncio
import linecache
import time
import traceback

import componentize_py_async_support as support
import wit_world
from componentize_py_types import Err
from wit_world.imports import monotonic_clock
from wit_world.imports.leadership import should_stop

__all__ = ["checkpoint", "plugin", "sleep"]


class _Future(asyncio.Future):
    """Whoever waited may be gone when the host answers."""

    def set_result(self, result):
        if not self.done():
            super().set_result(result)


support._loop.create_future = lambda: _Future(loop=support._loop)


class _Signal:
    """Something that happens once. A stream tells it, since it can wake one call of the host from within another."""

    def __init__(self):
        self._writer, self._reader = wit_world.byte_stream()

    def set(self):
        if self._writer is not None:
            self._writer.__exit__(None, None, None)
            self._writer = None

    async def wait(self):
        await self._reader.read(1)


class _Run:
    """The one run of the instance."""

    def __init__(self, value):
        self.value = value
        self.demoted = _Signal()
        self.over = _Signal()
        self.is_over = False

    async def elected(self, on_elected, term):
        task = asyncio.create_task(on_elected(self.value, term))
        signal = asyncio.create_task(self.demoted.wait())
        await asyncio.wait([task, signal], return_when=asyncio.FIRST_COMPLETED)
        task.cancel()
        try:
            await task
        except asyncio.CancelledError:
            # The host still has questions of the cancelled task to answer.
            support.spawn(_forever())
        except Err as error:
            raise Err(str(error.value)) from None
        except Exception as error:
            traceback.print_exc()
            raise Err(f"{type(error).__name__}: {error}") from None
        finally:
            self.is_over = True
            self.demoted.set()
            await signal
            self.over.set()


_run = None


def plugin(world):
    """Makes a class the plugin: cancels its `on_elected` when demotion begins, and calls its `on_demoted` after that."""
    on_elected, on_demoted = world.on_elected, world.on_demoted

    async def elected(self, term):
        global _run
        _run = _Run(self)
        await _run.elected(on_elected, term)

    async def demoted(self, reason):
        _run.demoted.set()
        await _run.over.wait()
        try:
            await on_demoted(_run.value, reason)
        except Exception:
            traceback.print_exc()

    world.on_elected, world.on_demoted = elected, demoted
    return world


async def sleep(seconds):
    """Waits, and lets `on_demoted` be called meanwhile."""
    await monotonic_clock.wait_for(max(0, int(seconds * 1_000_000_000)))


def checkpoint():
    """Cancels `on_elected` here if demotion has begun. For what computes or blocks, and so cannot be cancelled where it waits."""
    if _run is not None and not _run.is_over and should_stop():
        raise asyncio.CancelledError


def _sleep(seconds, sleep=time.sleep):
    # Whoever has asked is woken when demotion begins.
    checkpoint()
    sleep(seconds)
    checkpoint()


async def _forever():
    await support._loop.create_future()


time.sleep = _sleep
# A traceback would look for the sources of its lines in directories that were there when the component was made.
linecache.updatecache = lambda filename, module_globals=None: []
