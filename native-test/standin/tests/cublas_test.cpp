// Matrix products against plain loops; what cuBLAS refuses.
#include <random>

#include "../real.h"
#include "device.h"

namespace {

constexpr int F32 = 0;
constexpr int F64 = 1;
constexpr int F16 = 2;
constexpr int BF16 = 14;
constexpr int COMPUTE_32F = 68;
constexpr int COMPUTE_64F = 70;
constexpr int FAST_16F = 74;
constexpr int FAST_TF32 = 77;

class Products : public Device {
protected:
    void SetUp() override {
        Device::SetUp();
        ASSERT_EQ(0, cublasCreate_v2(&handle));
        ASSERT_EQ(0, cublasSetStream_v2(handle, stream));
    }

    void TearDown() override {
        EXPECT_EQ(0, cublasDestroy_v2(handle));
        Device::TearDown();
    }

    void* handle = nullptr;
};

size_t sizeOf(int type) {
    return type == F64 ? 8 : type == F32 ? 4 : 2;
}

std::vector<unsigned char> narrow(const std::vector<double>& values, int type) {
    std::vector<unsigned char> bytes(values.size() * sizeOf(type));
    for (size_t k = 0; k < values.size(); k++) {
        void* to = bytes.data() + k * sizeOf(type);
        if (type == F64) {
            *static_cast<double*>(to) = values[k];
        } else if (type == F32) {
            *static_cast<float*>(to) = static_cast<float>(values[k]);
        } else if (type == F16) {
            *static_cast<Half*>(to) = Half::fromFloat(static_cast<float>(values[k]));
        } else {
            *static_cast<BFloat*>(to) = BFloat::fromFloat(static_cast<float>(values[k]));
        }
    }
    return bytes;
}

std::vector<double> widen(const std::vector<unsigned char>& bytes, int type) {
    std::vector<double> values(bytes.size() / sizeOf(type));
    for (size_t k = 0; k < values.size(); k++) {
        const void* from = bytes.data() + k * sizeOf(type);
        values[k] = type == F64 ? *static_cast<const double*>(from)
                : type == F32   ? static_cast<double>(*static_cast<const float*>(from))
                : type == F16   ? static_cast<double>(Half::toFloat(*static_cast<const Half*>(from)))
                                : static_cast<double>(BFloat::toFloat(*static_cast<const BFloat*>(from)));
    }
    return values;
}

struct Case {
    int typeIn, typeOut, compute;
    double tolerance;
};

}  // namespace

TEST_F(Products, AgreeWithPlainLoops) {
    std::mt19937 random(1);
    std::uniform_real_distribution<double> uniform(-1, 1);
    for (Case c :
            {Case{F32, F32, COMPUTE_32F, 2e-6}, Case{F64, F64, COMPUTE_64F, 1e-13}, Case{F16, F16, COMPUTE_32F, 6e-3},
                    Case{F16, F32, COMPUTE_32F, 2e-6}, Case{BF16, BF16, COMPUTE_32F, 4e-2},
                    Case{F32, F32, FAST_TF32, 6e-3}, Case{F32, F32, FAST_16F, 6e-3}}) {
        for (int trans = 0; trans < 9; trans++) {
            for (double betaValue : {0.0, 0.5}) {
                int transA = trans / 3;
                int transB = trans % 3;
                int m = 5, n = 3, k = 7, batch = 2;
                int lda = (transA == 0 ? m : k) + 1, ldb = (transB == 0 ? k : n) + 2, ldc = m + 3;
                long long strideA = lda * (transA == 0 ? k : m), strideB = ldb * (transB == 0 ? n : k),
                          strideC = ldc * n;
                std::vector<double> a(static_cast<size_t>(strideA * batch)), b(static_cast<size_t>(strideB * batch)),
                        out(static_cast<size_t>(strideC * batch));
                for (auto* values : {&a, &b, &out}) {
                    for (double& value : *values) {
                        value = uniform(random);
                    }
                }
                if (betaValue == 0) {
                    std::fill(out.begin(), out.end(), std::nan(""));  // must not be read
                }
                a = widen(narrow(a, c.typeIn), c.typeIn);
                b = widen(narrow(b, c.typeIn), c.typeIn);
                out = widen(narrow(out, c.typeOut), c.typeOut);
                CUdeviceptr da = upload(narrow(a, c.typeIn)), db = upload(narrow(b, c.typeIn)),
                            dc = upload(narrow(out, c.typeOut));
                double alpha64 = 1.5, beta64 = betaValue;
                float alpha32 = 1.5F, beta32 = static_cast<float>(betaValue);
                bool wide = c.compute == COMPUTE_64F;
                ASSERT_EQ(0,
                        cublasGemmStridedBatchedEx(handle, transA, transB, m, n, k,
                                wide ? static_cast<void*>(&alpha64) : &alpha32, at<void>(da), c.typeIn, lda, strideA,
                                at<void>(db), c.typeIn, ldb, strideB, wide ? static_cast<void*>(&beta64) : &beta32,
                                at<void>(dc), c.typeOut, ldc, strideC, batch, c.compute, -1));
                ASSERT_EQ(0, cuStreamSynchronize(stream));
                auto got = widen(download<unsigned char>(dc, out.size() * sizeOf(c.typeOut)), c.typeOut);
                for (int item = 0; item < batch; item++) {
                    for (int i = 0; i < ldc; i++) {
                        for (int j = 0; j < n; j++) {
                            auto index = static_cast<size_t>(item * strideC + j * ldc + i);
                            double expected = out[index];
                            if (i < m) {
                                double sum = 0;
                                for (int l = 0; l < k; l++) {
                                    double left = a[static_cast<size_t>(
                                            item * strideA + (transA == 0 ? l * lda + i : i * lda + l))];
                                    double right = b[static_cast<size_t>(
                                            item * strideB + (transB == 0 ? j * ldb + l : l * ldb + j))];
                                    sum += left * right;
                                }
                                expected = 1.5 * sum + (betaValue == 0 ? 0 : betaValue * out[index]);
                                ASSERT_NEAR(expected, got[index], c.tolerance);
                            } else {
                                ASSERT_TRUE(std::isnan(expected) ? std::isnan(got[index]) : expected == got[index]);
                            }
                        }
                    }
                }
                free({da, db, dc});
            }
        }
    }
}

TEST_F(Products, Tf32RoundsInputs) {
    CUdeviceptr a = upload<float>({1.0F + 1.0F / 4096});
    CUdeviceptr b = upload<float>({1});
    CUdeviceptr c = allocate(4);
    float alpha = 1, beta = 0;
    EXPECT_EQ(
            0, cublasSgemm_v2(handle, 0, 0, 1, 1, 1, &alpha, at<float>(a), 1, at<float>(b), 1, &beta, at<float>(c), 1));
    EXPECT_EQ(0, cuStreamSynchronize(stream));
    EXPECT_EQ(1.0F + 1.0F / 4096, download<float>(c, 1)[0]);
    EXPECT_EQ(0, cublasSetMathMode(handle, 3));
    EXPECT_EQ(
            0, cublasSgemm_v2(handle, 0, 0, 1, 1, 1, &alpha, at<float>(a), 1, at<float>(b), 1, &beta, at<float>(c), 1));
    EXPECT_EQ(0, cuStreamSynchronize(stream));
    EXPECT_EQ(1.0F, download<float>(c, 1)[0]);
    free({a, b, c});
}

TEST_F(Products, RunInTheStreamLaterThanTheCall) {
    CUdeviceptr a = upload<float>({3});
    CUdeviceptr c = allocate(4);
    float alpha = 1, beta = 0;
    uint64_t before = word(PRODUCTS);
    EXPECT_EQ(
            0, cublasSgemm_v2(handle, 0, 0, 1, 1, 1, &alpha, at<float>(a), 1, at<float>(a), 1, &beta, at<float>(c), 1));
    EXPECT_TRUE(std::isnan(*at<volatile float>(c)));
    EXPECT_EQ(0, cuStreamSynchronize(stream));
    EXPECT_EQ(9, *at<volatile float>(c));
    EXPECT_EQ(before + 1, word(PRODUCTS));
    free({a, c});
}

TEST_F(Products, ScalarsMayBeOnTheDevice) {
    CUdeviceptr a = upload<float>({3});
    CUdeviceptr scalars = upload<float>({2, 1});
    CUdeviceptr c = upload<float>({5});
    EXPECT_EQ(7,
            cublasSgemm_v2(handle, 0, 0, 1, 1, 1, at<float>(scalars), at<float>(a), 1, at<float>(a), 1,
                    at<float>(scalars + 4), at<float>(c), 1));
    misuse = 1;  // the pointer mode is host
    EXPECT_EQ(0, cublasSetPointerMode_v2(handle, 1));
    EXPECT_EQ(0,
            cublasSgemm_v2(handle, 0, 0, 1, 1, 1, at<float>(scalars), at<float>(a), 1, at<float>(a), 1,
                    at<float>(scalars + 4), at<float>(c), 1));
    EXPECT_EQ(0, cuStreamSynchronize(stream));
    EXPECT_EQ(23, download<float>(c, 1)[0]);
    free({a, scalars, c});
}

TEST_F(Products, RefuseWhatBlasForbids) {
    CUdeviceptr a = allocate(6 * 4);
    CUdeviceptr c = allocate(9 * 4);
    float alpha = 1, beta = 0;
    auto gemm = [&](int transA, int m, int n, int k, int lda, int ldb, int ldc) {
        return cublasSgemm_v2(
                handle, transA, 0, m, n, k, &alpha, at<float>(a), lda, at<float>(a), ldb, &beta, at<float>(c), ldc);
    };
    EXPECT_EQ(7, gemm(0, 3, 3, 2, 2, 2, 3)) << "lda < m";
    EXPECT_EQ(7, gemm(1, 3, 3, 2, 1, 2, 3)) << "lda < k, transposed";
    EXPECT_EQ(7, gemm(0, 3, 3, 2, 3, 1, 3)) << "ldb < k";
    EXPECT_EQ(7, gemm(0, 3, 3, 2, 3, 2, 2)) << "ldc < m";
    EXPECT_EQ(7, gemm(0, -1, 3, 2, 3, 2, 3));
    EXPECT_EQ(7, gemm(3, 3, 3, 2, 3, 2, 3));
    EXPECT_EQ(0, gemm(0, 0, 3, 2, 3, 2, 3));
    EXPECT_EQ(13, gemm(0, 3, 3, 3, 3, 3, 3)) << "A is shorter than that";
    EXPECT_EQ(13, gemm(0, 3, 4, 2, 3, 2, 3)) << "B and C are, too";
    misuse = 2;
    EXPECT_EQ(15,
            cublasGemmEx(handle, 0, 0, 1, 1, 1, &alpha, at<void>(a), F32, 1, at<void>(a), F16, 1, &beta, at<void>(c),
                    F32, 1, COMPUTE_32F, -1));
    EXPECT_EQ(15,
            cublasGemmEx(handle, 0, 0, 1, 1, 1, &alpha, at<void>(a), F64, 1, at<void>(a), F64, 1, &beta, at<void>(c),
                    F64, 1, COMPUTE_32F, -1));
    EXPECT_EQ(15,
            cublasGemmEx(handle, 0, 0, 1, 1, 1, &alpha, at<void>(a), F16, 1, at<void>(a), F16, 1, &beta, at<void>(c),
                    F16, 1, FAST_TF32, -1));
    EXPECT_EQ(7, cublasSetWorkspace_v2(handle, at<void>(c + 4), 16)) << "not aligned";
    EXPECT_EQ(0, cublasSetWorkspace_v2(handle, at<void>(c), 16));
    free({a, c});
    EXPECT_EQ(13, gemm(0, 1, 1, 1, 1, 1, 1)) << "freed";
    misuse = 3;
    EXPECT_EQ(1, cublasSetMathMode(&alpha, 0));
    misuse = 4;
}

TEST_F(Products, AnEmptySumScalesWhatIsThere) {
    CUdeviceptr c = upload<float>({4});
    float alpha = 1, beta = 0.5F;
    EXPECT_EQ(0, cublasSgemm_v2(handle, 0, 0, 1, 1, 0, &alpha, nullptr, 1, nullptr, 1, &beta, at<float>(c), 1));
    EXPECT_EQ(0, cuStreamSynchronize(stream));
    EXPECT_EQ(2, download<float>(c, 1)[0]);
    free({c});
}

TEST_F(Products, AreCaptured) {
    CUdeviceptr a = upload<float>({2});
    CUdeviceptr c = upload<float>({1});
    float alpha = 1, beta = 1;
    ASSERT_EQ(0, cuStreamBeginCapture_v2(stream, 1));
    EXPECT_EQ(
            0, cublasSgemm_v2(handle, 0, 0, 1, 1, 1, &alpha, at<float>(a), 1, at<float>(a), 1, &beta, at<float>(c), 1));
    alpha = 100;  // scalars on the host are read by the call
    void* graph = nullptr;
    void* executable = nullptr;
    ASSERT_EQ(0, cuStreamEndCapture(stream, &graph));
    EXPECT_EQ(1, download<float>(c, 1)[0]);
    ASSERT_EQ(0, cuGraphInstantiateWithFlags(&executable, graph, 0));
    EXPECT_EQ(0, cuGraphLaunch(executable, stream));
    EXPECT_EQ(0, cuGraphLaunch(executable, stream));
    EXPECT_EQ(0, cuStreamSynchronize(stream));
    EXPECT_EQ(9, download<float>(c, 1)[0]);
    EXPECT_EQ(0, cuGraphExecDestroy(executable));
    EXPECT_EQ(0, cuGraphDestroy(graph));
    free({a, c});
}

TEST(Half, RoundsAsIeee754Says) {
    for (uint32_t bits = 0; bits < 0x10000; bits++) {
        Half half{static_cast<uint16_t>(bits)};
        float wide = Half::toFloat(half);
        if (!std::isnan(wide)) {
            ASSERT_EQ(bits, Half::fromFloat(wide).bits) << wide;
        }
    }
    EXPECT_EQ(0x3c00, Half::fromFloat(1.0F + 1.0F / 2048).bits) << "a tie goes to even";
    EXPECT_EQ(0x3c02, Half::fromFloat(1.0F + 3.0F / 2048).bits);
    EXPECT_EQ(0x7bff, Half::fromFloat(65519).bits);
    EXPECT_EQ(0x7c00, Half::fromFloat(65520).bits);
    EXPECT_EQ(0x0000, Half::fromFloat(std::ldexp(1.0F, -25)).bits);
    EXPECT_EQ(0x0001, Half::fromFloat(std::ldexp(1.1F, -25)).bits);
    EXPECT_TRUE(std::isnan(Half::toFloat(Half::fromFloat(std::nanf("")))));
    EXPECT_EQ(0x3f80, BFloat::fromFloat(1.0F + 1.0F / 256).bits);
    EXPECT_EQ(0x3f82, BFloat::fromFloat(1.0F + 3.0F / 256).bits);
}
