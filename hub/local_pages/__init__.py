"""The local pages of gateways, as the hub knows them: where each is, and tickets that let people in while the hub is away."""
