"""What the plugin does, without the host."""


def greeting(host: str, task: str) -> str:
    return f"hello from {host}, leader of {task}"
