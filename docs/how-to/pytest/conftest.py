pytest_plugins = ["trio_messenger.testing.fixtures"]
