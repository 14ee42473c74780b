import soloist
import wit_world
from wit_world.imports import state
from wit_world.imports.leadership import Demotion, Term

import work


@soloist.plugin
class WitWorld(wit_world.WitWorld):
    async def on_elected(self, term: Term) -> None:
        entry = await state.get("done")
        item = work.next_item(entry.value if entry else None)
        while True:
            # The work on the item stands here. Hand the token to whatever it changes.
            print(f"item {item}, with token {term.fencing_token}")
            await state.set("done", str(item).encode())
            item += 1
            await soloist.sleep(1)

    async def on_demoted(self, reason: Demotion) -> None:
        print(f"demoted: {reason.name.lower()}")
