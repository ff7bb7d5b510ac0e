"""HTTP for people's apps: OpenAI's protocol over the engines of this machine."""
