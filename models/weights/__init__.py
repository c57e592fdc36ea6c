"""Tables of trained numbers, each with a card in models/cards and a hash in the code that reads it."""
