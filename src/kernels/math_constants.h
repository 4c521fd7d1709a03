// Constants of exp, tanh, sigmoid and GELU, shared by the reference and simd/math.inc. Polynomials: Chebyshev fits
// (mpmath.chebyfit, 200 bits), highest power first. C-only: included by the ISA units (design.md 3.12).
#pragma once

namespace g3n {
namespace {

constexpr float kLog2E = 0x1.715476p+0f, kLn2High = 0x1.62e4p-1f, kLn2Low = 0x1.7f7d1cp-20f;
constexpr float kRoundMagic = 12582912.0f;  // 1.5 * 2^23: adding it rounds to an integer, kept in the low bits
// (e^r - 1 - r) / r^2 on |r| <= ln(2) / 2, error 1.4e-9.
constexpr float kExp[6] = {0x1.a124e4p-13f, 0x1.6d4316p-10f, 0x1.1110e0p-7f, 0x1.5554eap-5f, 0x1.555556p-3f, 0x1.0p-1f};
constexpr float kExpMin = -105.0f, kExpMax = 89.0f;  // exp is 0 below and infinite above
constexpr float kSigmoidMin = -126.0f;               // 200 * exp(-126) is 0
constexpr float kSigmoidOne = 40.0f;                 // sigmoid is 1 above
constexpr float kSiluMin = -200.0f;
// (tanh(sqrt(s)) / sqrt(s) - 1) / s on s <= 0.64^2, error 2.1e-9.
constexpr float kTanh[6] = {0x1.266360p-9f,  -0x1.1007acp-7f, 0x1.647206p-6f,
                            -0x1.ba0548p-5f, 0x1.1110e0p-3f,  -0x1.555556p-2f};
constexpr float kTanhSmall = 0.625f, kTanhLimit = 40.0f;
// 2 sqrt(2 / pi) and 0.044715 times it, each in two floats. Beyond 20 GELU is x or 0.
constexpr float kGeluC = 0x1.988454p+0f, kGeluCLow = -0x1.857936p-25f;
constexpr float kGeluD = 0x1.2444f2p-4f, kGeluDLow = 0x1.49b16ap-29f;
constexpr float kGeluLimit = 20.0f;

}  // namespace
}  // namespace g3n
