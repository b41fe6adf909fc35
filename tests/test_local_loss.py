"""Layer-wise training: each loss reaches its own layer and no other."""

import pytest
import torch
from test_models import ARCHITECTURES, waves
from torch import nn

from harembed.errors import RunError
from harembed.models import build_model
from harembed.nn.temporal import ConvNorm
from harembed.settings import load_settings
from harembed.train.local_loss import LocalLosses, similarities
from harembed.train.loop import predict, state_from_bytes, state_to_bytes, train
from harembed.train.recipe import Recipe

ARCH = ARCHITECTURES["same"]


def network() -> nn.Sequential:
    torch.manual_seed(1)
    return build_model(ARCH)


def test_similarities_by_hand() -> None:
    rows = torch.tensor([[1.0, 0.0, 0.0], [3.0, 1.0, 1.0], [0.0, 1.0, 0.0], [0.0, 2.0, 2.0]])
    expected = [[1, 1, -0.5, -1], [1, 1, -0.5, -1], [-0.5, -0.5, 1, 0.5], [-1, -1, 0.5, 1]]
    assert torch.allclose(similarities(rows), torch.tensor(expected), atol=1e-6)


def test_the_loss_of_a_layer_stays_in_it() -> None:
    """With the loss of one layer scaled, the gradients of all others are to the bit what they were."""
    x, y = waves(32, ARCH)
    convolutions = [name for name, layer in network().named_children() if isinstance(layer, ConvNorm)]
    assert len(convolutions) > 2

    def gradients(scaled: str | None) -> dict[str, torch.Tensor]:
        model = network()
        local = LocalLosses(model, x[:1], ARCH.classes)
        if scaled:
            head = local.heads[scaled]
            head.register_forward_hook(lambda module, given, loss: 2 * loss)
        model.train()
        local(model, x, y, 0.1).backward()
        return {name: p.grad for name, p in model.named_parameters()}

    plain = gradients(None)
    assert all(g is not None for g in plain.values())
    for layer in convolutions:
        other = gradients(layer)
        changed = {name.split(".")[0] for name in plain if not torch.equal(plain[name], other[name])}
        assert changed == {layer}


def test_a_network_learns_layer_by_layer_and_resumes() -> None:
    x, y = waves(240, ARCH)
    recipe = Recipe(epochs=24, batch=32)
    states = []

    def trained(resume=None) -> nn.Sequential:
        model = network()
        torch.manual_seed(2)
        local = LocalLosses(model, x[:1], ARCH.classes)
        train(model, x, y, recipe, 5, local=local, resume=resume,
              checkpoint=lambda s: states.append(state_to_bytes(s)))
        return model

    model = trained()
    assert (predict(model, x).argmax(1) == y.numpy()).mean() > 0.5  # chance has a third; layers of 4 to 8 filters
    again = trained(state_from_bytes(states[11])).state_dict()
    assert all(torch.equal(value, again[name]) for name, value in model.state_dict().items())


def test_what_is_no_convolution_is_refused() -> None:
    x, _ = waves(4, ARCH)
    model = nn.Sequential(nn.Linear(32, 32), nn.Flatten(), nn.Linear(96, 3))
    with pytest.raises(RunError, match="Layer '0' \\(Linear\\) has no local loss"):
        LocalLosses(model, x[:1], 3)
    with pytest.raises(RunError, match="--local-loss has no loss of the whole network"):
        load_settings(None, {"local_loss": True, "teachers": 2})
