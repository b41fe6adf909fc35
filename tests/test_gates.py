"""Gates and sampled choices: values and gradients of eqs. 1-7 of Zhou et al."""

import pytest
import torch

from harembed.nn.gates import ChannelGate
from harembed.nn.gumbel import argmax_one_hot, gumbel_one_hot, temperature


def test_gate_is_binary_forward_and_straight_through_backward():
    gate = ChannelGate(4)
    with torch.no_grad():
        gate.v.copy_(torch.tensor([0.9, 0.5, 0.1, 0.51]))
    x = torch.randn(3, 4, 2, 5)
    y = gate.kept().on(x, 1)
    assert torch.equal(y, x * torch.tensor([1.0, 0.0, 0.0, 1.0]).view(1, 4, 1, 1))
    assert gate.open() == (0, 3)
    upstream = torch.randn_like(y)
    (y * upstream).sum().backward()
    # Eq. 4: dL/dv = dL/db, for closed gates too, or they could never open again.
    torch.testing.assert_close(gate.v.grad, (x * upstream).sum((0, 2, 3)))


def test_one_gate_always_stays_open():
    gate = ChannelGate(3)
    with torch.no_grad():
        gate.v.copy_(torch.tensor([0.1, 0.3, 0.2]))
    assert gate.open() == (1,)


def test_where_their_number_is_given_the_order_of_gates_decides():
    gate = ChannelGate(4)
    gate.most = 2
    with torch.no_grad():
        gate.v.copy_(torch.tensor([0.6, 0.9, 0.2, 0.8]))
    assert gate.open() == (1, 3)
    (gate.kept().on(torch.ones(1, 4, 1, 1), 1) * torch.arange(4.0).view(1, 4, 1, 1)).sum().backward()
    assert gate.v.grad.tolist() == [0.0, 1.0, 2.0, 3.0]
    with torch.no_grad():
        gate.v.copy_(torch.tensor([3.0, 4.0, -1.0, 3.5]))
    gate.clamp()
    assert gate.v.tolist() == pytest.approx([0.8, 1.0, 0.0, 0.9])
    gate.v.data.fill_(0.1)  # below the threshold
    assert len(gate.open()) == 2


def test_clamp_holds_gates_in_range():
    gate = ChannelGate(3)
    with torch.no_grad():
        gate.v.copy_(torch.tensor([-2.0, 0.4, 7.0]))
    gate.clamp()
    assert gate.v.tolist() == [0.0, pytest.approx(0.4), 1.0]


def test_draws_follow_softmax_of_the_logits():
    logits = torch.tensor([0.0, 1.0, -torch.inf, 2.0])
    generator = torch.Generator().manual_seed(0)
    draws = torch.tensor([gumbel_one_hot(logits, 1.0, generator)[0] for _ in range(4000)])
    frequency = torch.bincount(draws, minlength=4) / 4000
    assert frequency[2] == 0
    torch.testing.assert_close(frequency, torch.softmax(logits, 0), atol=0.03, rtol=0)


@pytest.mark.parametrize("tau", [0.2, 1.0, 5.0])
def test_draw_is_one_hot_forward_and_softmax_backward(tau):
    logits = torch.tensor([0.3, -0.2, 1.1, 0.0, 0.4], requires_grad=True)
    index, p = gumbel_one_hot(logits, tau, torch.Generator().manual_seed(3))
    torch.testing.assert_close(p, torch.nn.functional.one_hot(torch.tensor(index), 5).float())
    weights = torch.arange(5.0)
    (p * weights).sum().backward()
    # The same noise through eq. 7 written out.
    noise = -torch.log(-torch.log(torch.rand(5, generator=torch.Generator().manual_seed(3))))
    free = logits.detach().clone().requires_grad_()
    (torch.softmax((free + noise) / tau, 0) * weights).sum().backward()
    torch.testing.assert_close(logits.grad, free.grad)


def test_argmax_needs_no_noise():
    index, p = argmax_one_hot(torch.tensor([0.1, 0.9, 0.3]))
    assert index == 1
    assert p.tolist() == [0.0, 1.0, 0.0]


def test_temperature_decays_and_is_clamped():
    assert temperature(0) == 5.0
    assert temperature(10) == pytest.approx(5.0 * 2.718281828 ** -0.5)
    assert temperature(200) == 0.2
