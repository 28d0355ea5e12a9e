// One optimizer step over a flat buffer: parameters p follow their gradients d, elementwise, with rate r, and moments m
// and v.
//
//   d' = s d       s = maxNorm / norm where norm = sqrt(squaredNorm[0]) > maxNorm > 0, else 1; not a number where the
//                  norm is not finite: gradients that have overflowed must not pass for gradients of zero
//   sgd            m = momentum m + d'                    p -= r m
//                  with Nesterov's look-ahead             p -= r (d' + momentum m)
//                  without momentum                       p -= r d'
//   adam           m = beta1 m + (1 - beta1) d'           v = beta2 v + (1 - beta2) d'^2
//                  p -= r weightDecay p                   p -= r (m / correction1) / (sqrt(v / correction2) + epsilon)
//                  correction = 1 - beta^t
//   rmsprop        m = decay m + (1 - decay) d'^2         p -= r d' / (sqrt(m) + epsilon)
//   p, d, m, v [n]; squaredNorm [1], may be null where maxNorm is 0; m of sgd may be null where momentum is 0
//
// The scale is computed on the device from the norm that reduce.cu left there: clipping needs no round trip to the
// host.
//
// Versions: one of each. Every element is read and written once; that is all there is to gain.
//
// Launch: blocks of 256, any grid of one dimension; ceil(n / 256) blocks give every thread one turn.
#include "common.cuh"

CAROUSEL_UNIT(update)

namespace carousel {

template <typename R>
__device__ __forceinline__ R clipFactor(double maxNorm, const R* squaredNorm) {
    if (maxNorm == 0) {
        return R(1);
    }
    R norm = sqrt(squaredNorm[0]);
    if (!(norm <= static_cast<R>(INFINITY)) || norm == static_cast<R>(INFINITY)) {
        return notANumber<R>();
    }
    R limit = static_cast<R>(maxNorm);
    return norm > limit ? limit / norm : R(1);
}

template <typename R>
__device__ __forceinline__ void sgd(R* p, const R* d, R* m, long long n, double rate, double momentum, int nesterov,
        double maxNorm, const R* squaredNorm) {
    R scale = clipFactor(maxNorm, squaredNorm);
    R step = static_cast<R>(rate);
    R keep = static_cast<R>(momentum);
    for (long long e = firstElement(); e < n; e += elementStride()) {
        R gradient = d[e] * scale;
        R move = gradient;
        if (momentum > 0) {
            R moment = keep * m[e] + gradient;
            m[e] = moment;
            move = nesterov != 0 ? gradient + keep * moment : moment;
        }
        p[e] -= step * move;
    }
}

template <typename R>
__device__ __forceinline__ void adam(R* p, const R* d, R* m, R* v, long long n, double rate, double beta1, double beta2,
        double epsilon, double weightDecay, double correction1, double correction2, double maxNorm,
        const R* squaredNorm) {
    R scale = clipFactor(maxNorm, squaredNorm);
    // Differences that are small are taken in double.
    R keep1 = static_cast<R>(beta1);
    R take1 = static_cast<R>(1 - beta1);
    R keep2 = static_cast<R>(beta2);
    R take2 = static_cast<R>(1 - beta2);
    R decay = static_cast<R>(rate * weightDecay);
    R step = static_cast<R>(rate / correction1);
    R correction = static_cast<R>(1 / correction2);
    R small = static_cast<R>(epsilon);
    for (long long e = firstElement(); e < n; e += elementStride()) {
        R gradient = d[e] * scale;
        R first = keep1 * m[e] + take1 * gradient;
        R second = keep2 * v[e] + take2 * gradient * gradient;
        m[e] = first;
        v[e] = second;
        R value = p[e];
        value -= decay * value;
        p[e] = value - step * first / (sqrt(second * correction) + small);
    }
}

template <typename R>
__device__ __forceinline__ void rmsprop(R* p, const R* d, R* m, long long n, double rate, double decay, double epsilon,
        double maxNorm, const R* squaredNorm) {
    R scale = clipFactor(maxNorm, squaredNorm);
    R keep = static_cast<R>(decay);
    R take = static_cast<R>(1 - decay);
    R step = static_cast<R>(rate);
    R small = static_cast<R>(epsilon);
    for (long long e = firstElement(); e < n; e += elementStride()) {
        R gradient = d[e] * scale;
        R moment = keep * m[e] + take * gradient * gradient;
        m[e] = moment;
        p[e] -= step * gradient / (sqrt(moment) + small);
    }
}

CAROUSEL_KERNELS(kBlock, sgd,
        (R* p, const R* d, R* m, long long n, double rate, double momentum, int nesterov, double maxNorm,
                const R* squaredNorm),
        (p, d, m, n, rate, momentum, nesterov, maxNorm, squaredNorm))
CAROUSEL_KERNELS(kBlock, adam,
        (R* p, const R* d, R* m, R* v, long long n, double rate, double beta1, double beta2, double epsilon,
                double weightDecay, double correction1, double correction2, double maxNorm, const R* squaredNorm),
        (p, d, m, v, n, rate, beta1, beta2, epsilon, weightDecay, correction1, correction2, maxNorm, squaredNorm))
CAROUSEL_KERNELS(kBlock, rmsprop,
        (R* p, const R* d, R* m, long long n, double rate, double decay, double epsilon, double maxNorm,
                const R* squaredNorm),
        (p, d, m, n, rate, decay, epsilon, maxNorm, squaredNorm))

}  // namespace carousel
