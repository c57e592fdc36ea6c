"""What bytes mean: decoders, records, file formats and the uplink, all without sockets, clocks or files of their own."""
