"""Tables of trained numbers, each with a card in models/cards that states its hash."""
