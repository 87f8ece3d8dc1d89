"""How many requests one process answers over HTTP, beside a bare application and the peers: `make bench-throughput`."""
