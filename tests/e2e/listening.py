"""What a page sounds, as far as a browser without loudspeakers can tell: `window.tones` has the pitch of each pulse it was told to play."""

LISTEN = """
    window.tones = [];
    const start = OscillatorNode.prototype.start;
    OscillatorNode.prototype.start = function (...at) { window.tones.push(this.frequency.value); return start.apply(this, at); };"""
