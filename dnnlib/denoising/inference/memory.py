"""How much memory the network may take."""

_MOST = 3 << 30  # bytes; beyond, larger tiles save little, and the whole program is to stay below 6 GB on 100 megapixels


def network_budget() -> float:
    """Returns how many bytes the network may take: half of what is at hand, 3 GiB at most; 1 GiB where that is not told."""
    try:
        with open("/proc/meminfo", encoding="ascii") as file:
            for line in file:
                if line.startswith("MemAvailable:"):
                    return min(_MOST, int(line.split()[1]) * 1024 / 2)
    except OSError:
        pass
    return _MOST / 3
