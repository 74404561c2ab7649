"""Networks as a user writes them, in a file that travels with the model."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn


class Block(nn.Module):
    """A layer with an activation that is a function, and a scale that is a tensor but no parameter."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.linear = nn.Linear(width, width)
        self.activation = torch.nn.functional.gelu
        self.scale = torch.tensor(0.5)
        self.limits = (float("-inf"), 4.0)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Add what the layer makes of the rows to them."""
        return x + self.scale * self.activation(self.linear(x)).clamp(*self.limits)


class Classifier(nn.Module):
    """Logits for three classes, with layers that behave otherwise in training."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Linear(4, width), nn.BatchNorm1d(width), nn.Dropout(0.5), Block(width))
        self.head = nn.Linear(width, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return logits."""
        return self.head(self.body(x))


class Recurrent(nn.Module):
    """An LSTM over the columns, as over a short series."""

    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(1, 5, num_layers=2, batch_first=True)
        self.head = nn.Linear(5, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return one number a row."""
        return self.head(self.lstm(x.unsqueeze(2))[0][:, -1]).squeeze(1)


class Tied(nn.Module):
    """Two layers that share their weights."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(4, 4)
        self.second = nn.Linear(4, 4)
        self.second.weight = self.first.weight

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return four numbers a row."""
        return self.second(torch.relu(self.first(x)))


class TwoInputs(nn.Module):
    """Inputs by name: a whole number that picks an embedding, a number, and a vector."""

    def __init__(self) -> None:
        super().__init__()
        self.shops = nn.Embedding(5, 3)
        self.head = nn.Linear(6, 1)

    def forward(
        self, shop: torch.Tensor, price: torch.Tensor, place: torch.Tensor
    ) -> dict[str, torch.Tensor]:
        """Return two named outputs."""
        row = torch.cat([self.shops(shop), price.reshape(-1, 1), place], dim=1)
        return {"sales": self.head(row), "clicks": row.sum(dim=1)}


class Restless(nn.Module):
    """A network that keeps something that no file without a pickle can hold."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(4, 1)
        self.history: Any = object()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return one number a row."""
        return self.linear(x)
