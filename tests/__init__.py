"""The test-suite; `helpers` holds what several tests share."""
