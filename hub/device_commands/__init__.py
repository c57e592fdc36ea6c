"""Commands to devices: asked for by an engineer, done by the gateway, told as the device itself says it."""
