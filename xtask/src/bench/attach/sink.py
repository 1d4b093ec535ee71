"""Runs in place of Kaniko's executor: takes everything that comes over the connection to the pod and throws it away,
so that only the way to it is measured. What it says at its end is of an image that is in the registry already."""

import os
import sys

count = 0
while piece := sys.stdin.buffer.read1(1 << 20):
    count += len(piece)
for word in sys.argv:
    if word.startswith("--digest-file="):
        with open(word.partition("=")[2], "w") as file:
            file.write(os.environ["SINK_DIGEST"])
print(f"received {count} bytes", flush=True)
