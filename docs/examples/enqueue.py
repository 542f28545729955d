# Hands a run in over AMQP and prints its id. pip install pika
import json
import os
import sys

import pika

exchange = os.environ.get("NAMESPACE", "dr") + ".submit"
connection = pika.BlockingConnection(pika.URLParameters(os.environ.get("AMQP_URL", "amqp://localhost")))
channel = connection.channel()
channel.confirm_delivery()  # publishing returns when the broker has it, and raises when it does not

answers = []
channel.basic_consume("amq.rabbitmq.reply-to", lambda *answer: answers.append(answer), auto_ack=True)
properties = pika.BasicProperties(
    content_type="application/json",
    message_id="order-7-py",  # the same id again is the same run
    reply_to="amq.rabbitmq.reply-to",
    delivery_mode=pika.DeliveryMode.Persistent,
)
order = {"inputs": {"text": "hello"}}
channel.basic_publish(exchange, "nap", json.dumps(order), properties, mandatory=True)

while not answers:
    connection.process_data_events(time_limit=30)
_, _, about, body = answers[0]
said = json.loads(body)
if about.type == "problem":
    sys.exit(f"{said['detail']}; {said['advice']}")
print(said["id"])
connection.close()
