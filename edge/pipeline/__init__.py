"""From a device's bytes to durable batches: link, decoder, screening, queues, lanes."""
