"""What `make test` checks besides running the tests: style, types, imports, licences, counts."""
