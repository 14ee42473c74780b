"""A contender with kazoo's Election, as its documentation shows it: SERVERS PATH SESSION_TIMEOUT NAME.

Prints an event, as a host would, when it waits, when it leads, and for each act of the leader. It acts while it is called and the
connection is not known to be lost. At SIGTERM it gives its place up and ends.
"""

import datetime
import json
import signal
import sys
import threading
import time

from kazoo.client import KazooClient, KazooState

servers, path, timeout, name = sys.argv[1:5]
resigned = False
connected = threading.Event()


def tell(event):
    now = datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    print(json.dumps({"timestamp": now, "message": event, "event": event}), flush=True)


def hear(state):
    connected.set() if state == KazooState.CONNECTED else connected.clear()


def lead():
    tell("leading")
    while not resigned:
        time.sleep(0.01)
        if connected.is_set():
            tell("act")


client = KazooClient(hosts=servers, timeout=float(timeout))
client.add_listener(hear)
client.start()
election = client.Election(path, name)


def announce():
    while name not in election.contenders():
        pass
    tell("waiting")


def resign(*_):
    # Nothing that takes a lock: the handler runs wherever the program happens to be.
    global resigned
    resigned = True


signal.signal(signal.SIGTERM, resign)
threading.Thread(target=announce, daemon=True).start()
while not resigned:
    election.run(lead)
client.stop()
