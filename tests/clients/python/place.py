"""Where the simulator is, and a picture to send."""

import base64
import json
import os
import urllib.request

SIMULATOR = os.environ["SIMULATOR"]
FAL = SIMULATOR + "/fal"
os.environ["FAL_KEY"] = "id:secret"


def png():
    """The smallest picture there is: one grey pixel."""
    return base64.b64decode(
        "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGNoAAAAggCBd81ytgAAAABJRU5ErkJggg=="
    )


def invalidate(provider, key):
    """Lets a provider know nothing of a key."""
    body = json.dumps({"provider": provider, "key": key, "state": "invalid"}).encode()
    urllib.request.urlopen(SIMULATOR + "/_sim/keys", body).read()
