# Serves the task `count-words`: a step gives it a text and gets back how many words it has. pip install pika
import json, os, time, urllib.error, urllib.parse, urllib.request

import pika

KEEP = pika.BasicProperties(content_type="application/json", delivery_mode=pika.DeliveryMode.Persistent)


def report(channel, task, **said):
    """Says how an attempt ended, or that it goes on; returns when the broker has it."""
    body = json.dumps({"v": 1, "token": task["token"], **said})
    to = task["report_to"]
    channel.basic_publish(to["exchange"], to["routing_key"], body, KEEP, mandatory=True)


def upload(task, name, data):
    """Sends a file, and gives the reference that stands for it in outputs."""
    url = task["upload"] + "&name=" + urllib.parse.quote(name)
    with urllib.request.urlopen(urllib.request.Request(url, data, method="POST")) as answer:
        return json.load(answer)["file"]


def count_words(channel, task):
    given = task["with"]
    with urllib.request.urlopen(given["text"]["url"]) as answer:
        lines = answer.read().decode().splitlines()
    words = []
    for number, line in enumerate(lines):
        words += line.split()
        time.sleep(given.get("seconds_per_line", 0))  # what takes long
        # A sign of life: without one within `timeout_seconds` the step is given to somebody else.
        report(channel, task, outcome="working", progress=(number + 1) / len(lines), note=f"line {number + 1}")
    return {"words": len(words), "longest": max(words, key=len), "list": upload(task, "words.txt", "\n".join(words).encode())}


def work(channel, method, _properties, body):
    task = json.loads(body)
    try:
        report(channel, task, outcome="succeeded", outputs=count_words(channel, task))
    except urllib.error.HTTPError as error:  # before URLError, which it is one of
        report(channel, task, outcome="failed", error={"class": "server_unavailable", "message": str(error)})
    except urllib.error.URLError as error:
        report(channel, task, outcome="failed", error={"class": "network", "message": str(error.reason)})
    except (KeyError, ValueError) as error:
        message = f"this text can't be counted: {error!r}"
        report(channel, task, outcome="failed", error={"class": "invalid_input", "code": "no_words", "message": message})
    channel.basic_ack(method.delivery_tag)  # only now: a worker that is killed before leaves the step to another


connection = pika.BlockingConnection(pika.URLParameters(os.environ.get("AMQP_URL", "amqp://localhost")))
channel = connection.channel()
channel.confirm_delivery()
channel.basic_qos(prefetch_count=1)
channel.basic_consume(os.environ.get("NAMESPACE", "dr") + ".steps.task.count-words", work)
print("ready", flush=True)
channel.start_consuming()
