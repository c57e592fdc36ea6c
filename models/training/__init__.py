"""How each file of models/weights was made. Run offline on recordings; the gateway never imports it."""
