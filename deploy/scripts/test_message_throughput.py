#!/usr/bin/env python3
"""How long a change takes to the clients of every instance: clients of pysignalr, and a trigger ten times a second at each instance in turn.

pip install pysignalr
python test_message_throughput.py --urls http://localhost:5000,http://localhost:5001,http://localhost:5002 --clients 100 --seconds 60
"""

import argparse
import asyncio
import json
import logging
import statistics
import time
import urllib.request

from pysignalr.client import SignalRClient

CONNECT_SECONDS = 30
ARRIVE_SECONDS = 5


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--urls", default="http://localhost:5000,http://localhost:5001,http://localhost:5002")
    parser.add_argument("--clients", type=int, default=100)
    parser.add_argument("--seconds", type=float, default=60)
    # What an instance in Development without configured keys takes.
    parser.add_argument("--admin-key", default="your-admin-key")
    return parser.parse_args()


def trigger(url, key):
    """Has every instance send the state to its clients."""
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
    request = urllib.request.Request(f"{url}/api/admin/trigger-navigation-update", b"{}", headers, method="POST")
    with urllib.request.urlopen(request, timeout=10) as answer:
        return json.load(answer)


async def connect(url, latencies, running):
    """Connects a client; what it receives is measured by the time at which the instance was triggered."""
    client = SignalRClient(f"{url}/hubs/navigation-state")
    opened = asyncio.Event()

    async def on_open():
        opened.set()

    async def on_message(arguments):
        # Seconds since 1970 by the clock of the instance; the clocks of machines differ.
        latencies.append((time.time() - arguments[0]["timestamp"]) * 1000)

    client.on_open(on_open)
    client.on("NavigationStateChanged", on_message)
    running.append(asyncio.create_task(client.run()))
    await asyncio.wait_for(opened.wait(), CONNECT_SECONDS)


async def test_message_throughput(urls, num_clients, duration_seconds, admin_key):
    latencies, running = [], []
    try:
        await asyncio.gather(*(connect(urls[i % len(urls)], latencies, running) for i in range(num_clients)))
        print(f"Connected {num_clients} clients")
        start, messages_sent = time.monotonic(), 0
        while time.monotonic() - start < duration_seconds:
            await asyncio.to_thread(trigger, urls[messages_sent % len(urls)], admin_key)
            messages_sent += 1
            await asyncio.sleep(0.1)
        expected, limit = messages_sent * num_clients, time.monotonic() + ARRIVE_SECONDS
        while len(latencies) < expected and time.monotonic() < limit:
            await asyncio.sleep(0.02)
    finally:
        for client in running:
            client.cancel()
        await asyncio.gather(*running, return_exceptions=True)
    print("\nTest Results:")
    print(f"Messages sent: {messages_sent}")
    print(f"Total messages received: {len(latencies)} of {expected}")
    if len(latencies) > 1:
        print(f"Average latency: {statistics.mean(latencies):.2f}ms")
        print(f"P95 latency: {statistics.quantiles(latencies, n=20)[18]:.2f}ms")
        print(f"P99 latency: {statistics.quantiles(latencies, n=100)[98]:.2f}ms")
    return len(latencies) >= expected > 0


if __name__ == "__main__":
    logging.disable(logging.CRITICAL)
    told = arguments()
    right = asyncio.run(test_message_throughput(told.urls.split(","), told.clients, told.seconds, told.admin_key))
    raise SystemExit(0 if right else 1)
