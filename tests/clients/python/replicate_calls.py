"""The official client of Replicate, unchanged but for the base URL."""

import io
import os

from place import SIMULATOR, invalidate, png

os.environ.update(
    REPLICATE_API_TOKEN="r8_x", REPLICATE_BASE_URL=SIMULATOR + "/replicate", REPLICATE_POLL_INTERVAL="0.05"
)
import httpx
import replicate
from replicate.exceptions import ModelError, ReplicateError


def wait():
    made = replicate.models.predictions.create("black-forest-labs/flux-1.1-pro", input={"prompt": "a mug"}, wait=5)
    assert made.status == "succeeded" and made.output.startswith("http"), made
    assert replicate.predictions.get(made.id).output == made.output
    assert made.id in [known.id for known in replicate.predictions.list()]


def by_version():
    version = "efd10a8ddc57ea28773327e881ce95e20cc1d734c589f7dd01d2036921ed78aa"
    file = replicate.files.create(io.BytesIO(png()), filename="mug.png", content_type="image/png")
    assert file.name == "mug.png" and file.size == len(png()), file
    made = replicate.predictions.create(
        version="adirik/grounding-dino:" + version, input={"image": file.urls["get"], "query": "a mug, a cat"}
    )
    assert made.status == "starting", made
    made.wait()
    assert made.output["detections"][0]["label"] == "a mug", made
    assert replicate.files.get(file.id).checksums == file.checksums
    assert file.id in [known.id for known in replicate.files.list()]
    replicate.files.delete(file.id)


def run():
    output = replicate.run("black-forest-labs/flux-dev", input={"prompt": "a mug", "output_format": "png"})
    # It makes files of https links only.
    assert httpx.get(output[0]).content[:4] == b"\x89PNG"
    output = replicate.run("lucataco/remove-bg:95fcc2a26d3899cd6c2691c900465aaeff466285a65c14638cc5f36f34befaf1", input={"image": io.BytesIO(png())})
    assert httpx.get(output).content[:4] == b"\x89PNG"


def cancel():
    made = replicate.models.predictions.create("minimax/video-01", input={"prompt": "a mug"})
    made.cancel()
    assert replicate.predictions.get(made.id).status == "canceled"


def lookups():
    model = replicate.models.get("black-forest-labs/flux-1.1-pro")
    assert model.owner == "black-forest-labs" and model.latest_version.openapi_schema, model
    assert replicate.webhooks.default.secret().key.startswith("whsec_")
    assert replicate.default_client.accounts.current().username == "simulator"


def errors():
    try:
        replicate.models.predictions.create("black-forest-labs/flux-1.1-pro", input={})
    except ReplicateError as error:
        assert error.status == 422 and "prompt" in error.detail, error
    else:
        raise AssertionError("no prompt")
    try:
        replicate.predictions.get("nothing")
    except ReplicateError as error:
        assert error.status == 404, error
    else:
        raise AssertionError("no such prediction")
    invalidate("replicate", "r8_bad")
    try:
        replicate.Client(api_token="r8_bad").predictions.list()
    except ReplicateError as error:
        assert error.status == 401, error
    else:
        raise AssertionError("a bad key")


def webhooks():
    # Its own validator, on what the simulator signs: the vector is in the simulator's tests as well.
    from replicate.webhook import WebhookSigningSecret, Webhooks

    headers = {
        "webhook-id": "msg_1",
        "webhook-timestamp": "1700000000",
        "webhook-signature": "v1,erLh+W2rgPzXMg+XsSDHxaySHg8Nu02RgpNZKY3YnN8=",
    }
    secret = WebhookSigningSecret(key=replicate.webhooks.default.secret().key)
    Webhooks.validate(headers=headers, body='{"id":"P1","status":"succeeded"}', secret=secret)


wait()
by_version()
run()
cancel()
lookups()
errors()
webhooks()
