"""The official client of Google, unchanged but for the base URL."""

import os
import tempfile
import time

from place import SIMULATOR, invalidate, png

os.environ["GOOGLE_GEMINI_BASE_URL"] = SIMULATOR + "/google"
from google import genai
from google.genai import errors as genai_errors
from google.genai import types

client = genai.Client(api_key="g")


def pictures():
    config = {"response_modalities": ["IMAGE"], "image_config": {"aspect_ratio": "16:9"}}
    made = client.models.generate_content(model="gemini-3-pro-image", contents="a mug", config=config)
    part = made.candidates[0].content.parts[0]
    assert part.inline_data.data[:4] == b"\x89PNG" and made.candidates[0].finish_reason == "STOP", made
    given = [types.Part.from_bytes(data=png(), mime_type="image/png"), "make it blue"]
    made = client.models.generate_content(model="gemini-3-pro-image", contents=given, config=config)
    assert made.candidates[0].content.parts[0].inline_data.mime_type == "image/png"
    text = client.models.generate_content(model="gemini-2.5-flash", contents=given).text
    assert "stand out" in text, text


def films():
    operation = client.models.generate_videos(model="veo-3.1-generate-preview", prompt="a mug")
    until = time.monotonic() + 20
    while not operation.done:
        assert time.monotonic() < until
        time.sleep(0.05)
        operation = client.operations.get(operation)
    film = operation.response.generated_videos[0]
    assert client.files.download(file=film.video)[4:8] == b"ftyp"


def files():
    with tempfile.NamedTemporaryFile(suffix=".png") as picture:
        picture.write(png())
        picture.flush()
        sent = client.files.upload(file=picture.name)
    assert sent.state == "ACTIVE" and sent.mime_type == "image/png" and sent.size_bytes == len(png()), sent
    assert client.files.get(name=sent.name).uri == sent.uri
    made = client.models.generate_content(model="gemini-3-pro-image", contents=[sent, "make it blue"])
    assert made.candidates[0].content.parts[0].inline_data, made
    client.files.delete(name=sent.name)


def errors():
    invalidate("google", "bad")
    for key, code in [("g", 404), ("bad", 400)]:
        other = genai.Client(api_key=key)
        try:
            other.files.get(name="files/nothing")
        except genai_errors.ClientError as error:
            assert error.code == code, error
        else:
            raise AssertionError(code)
    assert "models/gemini-3-pro-image" in [model.name for model in client.models.list()]


pictures()
films()
files()
errors()
