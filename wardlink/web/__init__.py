"""What the hub's pages and the gateway's local page share: design tokens, ES modules and the catalogue of words."""
