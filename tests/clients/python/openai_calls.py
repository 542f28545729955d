"""The official client of OpenAI, unchanged but for the base URL."""

import base64

from place import SIMULATOR, invalidate, png

import openai

client = openai.OpenAI(base_url=SIMULATOR + "/openai/v1", api_key="sk-x", max_retries=0)


def pictures():
    made = client.images.generate(model="gpt-image-2", prompt="a mug", n=2, size="1536x1024", output_format="jpeg")
    assert len(made.data) == 2 and made.usage.total_tokens > 0, made
    assert base64.b64decode(made.data[0].b64_json)[:3] == b"\xff\xd8\xff"
    one = client.images.edit(model="gpt-image-2", image=("a.png", png(), "image/png"), prompt="make it blue")
    assert base64.b64decode(one.data[0].b64_json)[:4] == b"\x89PNG"
    several = [("a.png", png(), "image/png"), ("b.png", png(), "image/png")]
    assert client.images.edit(model="gpt-image-2", image=several, prompt="make it blue").data
    events = list(client.images.generate(model="gpt-image-2", prompt="a mug", stream=True))
    assert events[-1].type == "image_generation.completed" and events[-1].b64_json, events


def speech():
    said = client.audio.speech.create(model="gpt-4o-mini-tts", voice="alloy", input="hello")
    assert len(said.read()) > 1000
    said = client.audio.speech.create(model="gpt-4o-mini-tts", voice="alloy", input="hello", response_format="wav")
    assert said.read()[:4] == b"RIFF"


def errors():
    invalidate("openai", "sk-bad")
    for key, call, kind, code in [
        ("sk-x", {"size": "1x"}, openai.BadRequestError, "invalid_value"),
        ("sk-bad", {}, openai.AuthenticationError, "invalid_api_key"),
    ]:
        try:
            client.with_options(api_key=key).images.generate(model="gpt-image-2", prompt="a mug", **call)
        except kind as error:
            assert error.code == code, error
        else:
            raise AssertionError(kind)
    assert "gpt-image-2" in [model.id for model in client.models.list()]
    try:
        client.models.retrieve("dall-e-9")
    except openai.NotFoundError as error:
        assert error.code == "model_not_found", error
    else:
        raise AssertionError("no such model")


pictures()
speech()
errors()
