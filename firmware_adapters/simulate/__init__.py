"""The same devices, played from recordings at the wire. Nothing here may import a decoder."""
