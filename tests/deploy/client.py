"""python client.py PORT: a SignalR client that says what it sees: `open`, and the message that ends its connection."""

import json
import sys
import urllib.request

from websockets.sync.client import connect

END = "\x1e"


def main(port):
    negotiation = urllib.request.Request(f"http://127.0.0.1:{port}/chathub/negotiate?negotiateVersion=1", method="POST")
    with urllib.request.urlopen(negotiation) as response:
        token = json.load(response)["connectionToken"]
    with connect(f"ws://127.0.0.1:{port}/chathub?id={token}") as socket:
        socket.send(json.dumps({"protocol": "json", "version": 1}) + END)
        for frame in socket:
            for message in filter(None, frame.split(END)):
                if message == "{}":
                    print("open", flush=True)
                elif json.loads(message).get("type") == 7:
                    print(message, flush=True)
                    return


main(int(sys.argv[1]))
