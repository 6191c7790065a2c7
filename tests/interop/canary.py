# SPDX-License-Identifier: MIT
"""Sleeps 5 ms at a time and prints when the machine let it sleep 50 ms longer: "AT MS".

Started as the daemons are, it says when nobody like them could run.
"""

import time


def main():
    """Until it is ended."""
    print("watching", flush=True)
    while True:
        begun = time.monotonic()
        time.sleep(0.005)
        slept_ms = 1000 * (time.monotonic() - begun)
        if slept_ms > 50:
            print(f"{time.time():.3f} {slept_ms:.0f}", flush=True)


if __name__ == "__main__":
    main()
