"""Nonin pulse oximeters: serial data format 7."""
