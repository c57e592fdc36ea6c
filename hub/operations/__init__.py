"""How well the hub does: speed, delay, compression, response time and availability of every function, told by each process itself."""
