// Streams and events. A stream is a queue with a worker thread; a thread that waits for a stream helps to empty its
// queue. The worker starts a little after the call that gave it something to do, so that whoever forgets to wait sees
// it.
#include <algorithm>
#include <chrono>

#include "world.h"

namespace carousel::standin {
namespace {

using Clock = std::chrono::steady_clock;

int64_t now() {
    return std::chrono::duration_cast<std::chrono::nanoseconds>(Clock::now().time_since_epoch()).count();
}

/// Runs the operation at the front of the queue. The caller has seen that there is one and that nobody is at it.
void runFront(Lock& lock, Stream* stream) {
    stream->running = true;
    stream->turn.last = ++world().turns;
    Operation operation = std::move(stream->queue.front());
    stream->queue.pop_front();
    for (const Place& place : operation.after) {
        finish(lock, place.stream, place.position);
    }
    std::string wrong;
    if (stream->context->error == SUCCESS || operation.job->ranges.empty()) {
        lock.unlock();
        wrong = operation.job->run();
        lock.lock();
    }
    for (Allocation* touched : operation.touched) {
        touched->pending--;
    }
    if (!wrong.empty()) {
        carousel_standin_misuse("%s: %s", operation.job->what.c_str(), wrong.c_str());
        stream->context->error = LAUNCH_FAILED;
    }
    stream->completed++;
    stream->running = false;
    stream->changed.notify_all();
    if (!stream->queue.empty() && stream->workerIdle) {
        stream->wake.notify_one();
    }
}

/// Where streams are unruly, the one whose front runs next, of those that wait for nothing; null if there is none.
Stream* boldest(Context* context) {
    Stream* result = nullptr;
    auto consider = [&](Stream* stream) {
        if (stream->running || stream->queue.empty()) {
            return;
        }
        for (const Place& place : stream->queue.front().after) {
            if (place.stream->completed < place.position) {
                return;
            }
        }
        if (result == nullptr || runsAhead(stream->turn, result->turn)) {
            result = stream;
        }
    };
    consider(context->legacy);
    for (Stream* stream : context->streams) {
        consider(stream);
    }
    return result;
}

void work(Stream* stream, uint64_t seed) {
    Lock lock(world().mutex);
    while (true) {
        stream->wake.wait(lock, [stream] {
            // Again at every waking: whoever waited for the stream may have emptied the queue in the meantime.
            stream->workerIdle = true;
            return stream->stopping || !stream->queue.empty();
        });
        stream->workerIdle = false;
        if (stream->queue.empty()) {
            return;
        }
        seed = mix(seed);
        uint64_t ordered = word(WORKER_DELAY);
        auto deadline = Clock::now() + std::chrono::microseconds(ordered == 0 ? 50 + seed % 350 : ordered);
        while (!stream->stopping && Clock::now() < deadline) {
            stream->wake.wait_until(lock, deadline);
        }
        while (!stream->queue.empty()) {
            if (word(UNRULY) != 0 && !stream->stopping) {
                stream->wake.wait_for(lock, std::chrono::milliseconds(1));
            } else if (stream->running) {
                stream->changed.wait(lock);
            } else {
                runFront(lock, stream);
            }
        }
    }
}

int check(void* handle, Context*& context, Stream*& stream) {
    int result = ready(context);
    if (result != SUCCESS) {
        return result;
    }
    stream = resolve(handle, context);
    return stream == nullptr ? INVALID_HANDLE : SUCCESS;
}

bool ended(const Mark& mark) {
    return mark.place.stream == nullptr || mark.place.stream->completed >= mark.place.position;
}

}  // namespace

Stream* startStream(Context* context, unsigned flags, int priority, bool legacy) {
    auto* stream = new Stream;
    stream->turn.stream = ++world().streamNumbers;
    stream->context = context;
    stream->flags = flags;
    stream->priority = priority;
    stream->legacy = legacy;
    if (!legacy) {
        world().streams.insert(stream);
        context->streams.insert(stream);
        carousel_standin_add(LIVE_STREAMS, 1);
    }
    uint64_t seed = mix(word(SEED) + reinterpret_cast<uintptr_t>(stream));
    std::thread(work, stream, seed).detach();
    return stream;
}

Stream* resolve(void* handle, Context* context) {
    if (handle == nullptr || handle == reinterpret_cast<void*>(1)) {
        return context->legacy;
    }
    if (world().streams.count(handle) == 0) {
        carousel_standin_misuse("%p is not a stream", handle);
        return nullptr;
    }
    auto* stream = static_cast<Stream*>(handle);
    if (!stream->alive || stream->context != context) {
        carousel_standin_misuse(
                "stream %p %s", handle, stream->alive ? "belongs to another context" : "has been destroyed");
        return nullptr;
    }
    return stream;
}

int submit(Lock& lock, Stream* stream, std::shared_ptr<const Job> job, uint64_t* position) {
    (void) lock;
    if (stream->capture != nullptr) {
        return addNode(stream, std::move(job));
    }
    Context* context = stream->context;
    if (stream->legacy) {
        for (auto& capture : context->captures) {
            for (Stream* captured : capture->streams) {
                if (captured->blocking()) {
                    invalidate(*capture, job->what + ": the default stream would depend on a captured stream");
                    return CAPTURE_IMPLICIT;
                }
            }
        }
    }
    Operation operation;
    if (!locateAll(job->ranges, job->what, operation.touched)) {
        return ILLEGAL_ADDRESS;
    }
    for (Allocation* touched : operation.touched) {
        touched->pending++;
    }
    if (stream->legacy) {
        for (Stream* other : context->streams) {
            if (other->blocking() && other->completed < other->submitted) {
                operation.after.push_back({other, other->submitted});
            }
        }
    } else if (stream->blocking() && context->legacy->completed < context->legacy->submitted) {
        operation.after.push_back({context->legacy, context->legacy->submitted});
    }
    operation.job = std::move(job);
    stream->queue.push_back(std::move(operation));
    stream->submitted++;
    if (position != nullptr) {
        *position = stream->submitted;
    }
    if (stream->workerIdle) {
        stream->workerIdle = false;
        stream->wake.notify_one();
    }
    return SUCCESS;
}

void finish(Lock& lock, Stream* stream, uint64_t position) {
    while (stream->completed < position) {
        if (word(UNRULY) != 0) {
            Stream* next = boldest(stream->context);
            if (next != nullptr) {
                runFront(lock, next);
            } else {
                stream->changed.wait_for(lock, std::chrono::milliseconds(1));
            }
        } else if (!stream->running && !stream->queue.empty()) {
            runFront(lock, stream);
        } else {
            stream->changed.wait(lock);
        }
    }
}

void finishAll(Lock& lock, Context* context) {
    std::vector<Stream*> all(context->streams.begin(), context->streams.end());
    all.push_back(context->legacy);
    for (Stream* stream : all) {
        finish(lock, stream, stream->submitted);
    }
}

void endStream(Lock& lock, Stream* stream) {
    finish(lock, stream, stream->submitted);
    stream->alive = false;
    stream->stopping = true;
    stream->wake.notify_one();
    if (!stream->legacy) {
        stream->context->streams.erase(stream);
        carousel_standin_add(LIVE_STREAMS, -1);
    }
}

int forbidWhileCapturing(Context* context, const char* what) {
    bool forbidden = false;
    for (auto& capture : context->captures) {
        if (capture->mode == 0 || (capture->mode == 1 && capture->thread == std::this_thread::get_id())) {
            invalidate(*capture, std::string(what) + " is not allowed while a stream is captured");
            forbidden = true;
        }
    }
    return forbidden ? CAPTURE_UNSUPPORTED : SUCCESS;
}

}  // namespace carousel::standin

using namespace carousel::standin;

int carousel_standin_enqueue(void* handle, const Work* work) {
    auto job = std::make_shared<Job>();
    job->what = work->what;
    job->ranges.assign(work->ranges, work->ranges + work->rangeCount);
    std::shared_ptr<void> data(work->data, work->drop);
    auto* run = work->run;
    job->run = [data, run] {
        run(data.get());
        return std::string();
    };
    Lock lock(world().mutex);
    Context* context;
    Stream* stream;
    int result = check(handle, context, stream);
    return result != SUCCESS ? result : submit(lock, stream, job);
}

void* carousel_standin_context() {
    Lock lock(world().mutex);
    return current();
}

int carousel_standin_check_stream(void* handle, void* context) {
    Lock lock(world().mutex);
    auto* of = static_cast<Context*>(context);
    if (world().contexts.count(of) == 0 || !of->alive) {
        return INVALID_CONTEXT;
    }
    return resolve(handle, of) == nullptr ? INVALID_HANDLE : SUCCESS;
}

bool carousel_standin_capturing(void* handle) {
    Lock lock(world().mutex);
    auto* stream = static_cast<Stream*>(handle);
    return world().streams.count(stream) != 0 && stream->capture != nullptr;
}

STANDIN_EXPORT CUresult cuStreamCreateWithPriority(void** result, unsigned flags, int priority) {
    Lock lock(world().mutex);
    Context* context;
    int error = ready(context);
    if (error != SUCCESS) {
        return error;
    }
    if (result == nullptr || flags > 1) {
        return INVALID_VALUE;
    }
    if (carousel_standin_fails(KIND_OBJECT, "cuStreamCreate")) {
        return OUT_OF_MEMORY;
    }
    *result = startStream(context, flags, std::max(-5, std::min(0, priority)), false);
    return SUCCESS;
}

STANDIN_EXPORT CUresult cuStreamCreate(void** result, unsigned flags) {
    return cuStreamCreateWithPriority(result, flags, 0);
}

STANDIN_EXPORT CUresult cuStreamDestroy_v2(void* handle) {
    Lock lock(world().mutex);
    Context* context;
    int result = ready(context);
    if (context == nullptr) {
        return result;
    }
    Stream* stream = resolve(handle, context);
    if (stream == nullptr || stream->legacy) {
        return INVALID_HANDLE;
    }
    if (stream->capture != nullptr) {
        invalidate(*stream->capture, "a captured stream is destroyed");
        stream->capture = nullptr;
    }
    endStream(lock, stream);
    return result;
}

STANDIN_EXPORT CUresult cuStreamQuery(void* handle) {
    Lock lock(world().mutex);
    Context* context;
    Stream* stream;
    int result = check(handle, context, stream);
    if (result != SUCCESS) {
        return result;
    }
    if (stream->capture != nullptr) {
        invalidate(*stream->capture, "cuStreamQuery of the captured stream");
        return CAPTURE_UNSUPPORTED;
    }
    return stream->completed == stream->submitted ? SUCCESS : NOT_READY;
}

STANDIN_EXPORT CUresult cuStreamSynchronize(void* handle) {
    Lock lock(world().mutex);
    Context* context;
    Stream* stream;
    int result = check(handle, context, stream);
    if (result != SUCCESS) {
        return result;
    }
    if (stream->capture != nullptr) {
        invalidate(*stream->capture, "cuStreamSynchronize of the captured stream");
        return CAPTURE_UNSUPPORTED;
    }
    if (carousel_standin_fails(KIND_OBJECT, "cuStreamSynchronize")) {
        return LAUNCH_FAILED;
    }
    carousel_standin_add(HOST_SYNCHRONISATIONS, 1);
    if (stream->legacy) {
        std::vector<Stream*> others(context->streams.begin(), context->streams.end());
        for (Stream* other : others) {
            if (other->blocking()) {
                finish(lock, other, other->submitted);
            }
        }
    }
    finish(lock, stream, stream->submitted);
    return context->error;
}

STANDIN_EXPORT CUresult cuStreamGetPriority(void* handle, int* priority) {
    Lock lock(world().mutex);
    Context* context;
    Stream* stream;
    int result = check(handle, context, stream);
    if (result == SUCCESS && priority != nullptr) {
        *priority = stream->priority;
    }
    return result;
}

STANDIN_EXPORT CUresult cuStreamGetFlags(void* handle, unsigned* flags) {
    Lock lock(world().mutex);
    Context* context;
    Stream* stream;
    int result = check(handle, context, stream);
    if (result == SUCCESS && flags != nullptr) {
        *flags = stream->flags;
    }
    return result;
}

STANDIN_EXPORT CUresult cuStreamGetCtx(void* handle, void** of) {
    Lock lock(world().mutex);
    Context* context;
    Stream* stream;
    int result = check(handle, context, stream);
    if (result == SUCCESS && of != nullptr) {
        *of = context;
    }
    return result;
}

STANDIN_EXPORT CUresult cuStreamWaitEvent(void* handle, void* eventHandle, unsigned flags) {
    Lock lock(world().mutex);
    Context* context;
    Stream* stream;
    int result = check(handle, context, stream);
    if (result != SUCCESS) {
        return result;
    }
    auto* event = static_cast<Event*>(eventHandle);
    if (world().events.count(event) == 0 || !event->alive) {
        carousel_standin_misuse("cuStreamWaitEvent: %p is not a live event", eventHandle);
        return INVALID_HANDLE;
    }
    if (flags > 1) {
        return INVALID_VALUE;
    }
    if (carousel_standin_fails(KIND_OBJECT | KIND_WAIT, "cuStreamWaitEvent")) {
        return word(DROPS) != 0 ? SUCCESS : LAUNCH_FAILED;
    }
    std::shared_ptr<Mark> mark = event->mark;
    if (mark == nullptr) {
        return SUCCESS;
    }
    if (mark->capture != nullptr) {
        Capture& capture = *mark->capture;
        if (context->captures.count(mark->capture) == 0) {
            return CAPTURED_EVENT;
        }
        if (stream->capture != nullptr && stream->capture != mark->capture) {
            invalidate(capture, "two captures would be merged");
            invalidate(*stream->capture, "two captures would be merged");
            return CAPTURE_MERGE;
        }
        if (!capture.valid) {
            return CAPTURE_INVALIDATED;
        }
        if (stream->capture == nullptr) {
            if (stream->legacy) {
                invalidate(capture, "the default stream cannot be captured");
                return CAPTURE_IMPLICIT;
            }
            stream->capture = mark->capture;
            stream->frontier.clear();
            capture.streams.push_back(stream);
        }
        for (Node* node : mark->frontier) {
            if (std::find(stream->frontier.begin(), stream->frontier.end(), node) == stream->frontier.end()) {
                stream->frontier.push_back(node);
            }
        }
        return SUCCESS;
    }
    if (stream->capture != nullptr) {
        invalidate(*stream->capture, "a captured stream waits for an event that is not captured");
        return CAPTURE_ISOLATION;
    }
    if (mark->place.stream == stream || ended(*mark)) {
        return SUCCESS;
    }
    auto job = std::make_shared<Job>();
    job->what = "cuStreamWaitEvent";
    job->run = [] { return std::string(); };
    result = submit(lock, stream, job);
    if (result == SUCCESS) {
        stream->queue.back().after.push_back(mark->place);
    }
    return result;
}

STANDIN_EXPORT CUresult cuLaunchHostFunc(void* handle, void (*function)(void*), void* data) {
    Lock lock(world().mutex);
    Context* context;
    Stream* stream;
    int result = check(handle, context, stream);
    if (result != SUCCESS) {
        return result;
    }
    if (function == nullptr) {
        return INVALID_VALUE;
    }
    auto job = std::make_shared<Job>();
    job->what = "cuLaunchHostFunc";
    job->nodeType = NODE_HOST;
    job->run = [function, data] {
        std::thread(function, data).join();  // never on a thread of the caller's
        return std::string();
    };
    return submit(lock, stream, job);
}

STANDIN_EXPORT CUresult cuEventCreate(void** result, unsigned flags) {
    Lock lock(world().mutex);
    Context* context;
    int error = ready(context);
    if (error != SUCCESS) {
        return error;
    }
    if (result == nullptr || flags > 7) {
        return INVALID_VALUE;
    }
    if (carousel_standin_fails(KIND_OBJECT, "cuEventCreate")) {
        return OUT_OF_MEMORY;
    }
    auto* event = new Event;
    event->context = context;
    event->flags = flags;
    world().events.insert(event);
    context->events.insert(event);
    carousel_standin_add(LIVE_EVENTS, 1);
    *result = event;
    return SUCCESS;
}

namespace {

int checkEvent(void* handle, const char* call, Context*& context, Event*& event) {
    int result = ready(context);
    if (context == nullptr) {
        return result;
    }
    event = static_cast<Event*>(handle);
    if (world().events.count(event) == 0 || !event->alive) {
        carousel_standin_misuse("%s: %p is not a live event", call, handle);
        event = nullptr;
        return INVALID_HANDLE;
    }
    return result;
}

}  // namespace

STANDIN_EXPORT CUresult cuEventDestroy_v2(void* handle) {
    Lock lock(world().mutex);
    Context* context;
    Event* event = nullptr;
    int result = checkEvent(handle, "cuEventDestroy", context, event);
    if (event == nullptr) {
        return result;
    }
    event->alive = false;
    event->mark = nullptr;
    event->context->events.erase(event);
    carousel_standin_add(LIVE_EVENTS, -1);
    return result;
}

STANDIN_EXPORT CUresult cuEventRecordWithFlags(void* eventHandle, void* handle, unsigned) {
    Lock lock(world().mutex);
    Context* context;
    Event* event = nullptr;
    int result = checkEvent(eventHandle, "cuEventRecord", context, event);
    if (result != SUCCESS) {
        return result;
    }
    Stream* stream = resolve(handle, context);
    if (stream == nullptr || event->context != context) {
        return INVALID_HANDLE;
    }
    if (carousel_standin_fails(KIND_OBJECT, "cuEventRecord")) {
        return LAUNCH_FAILED;
    }
    auto mark = std::make_shared<Mark>();
    if (stream->capture != nullptr) {
        if (!stream->capture->valid) {
            return CAPTURE_INVALIDATED;
        }
        mark->capture = stream->capture;
        mark->frontier = stream->frontier;
        event->mark = mark;
        return SUCCESS;
    }
    auto job = std::make_shared<Job>();
    job->what = "cuEventRecord";
    job->run = [mark] {
        mark->nanoseconds = now();
        return std::string();
    };
    result = submit(lock, stream, job, &mark->place.position);
    if (result == SUCCESS) {
        mark->place.stream = stream;
        event->mark = mark;
    }
    return result;
}

STANDIN_EXPORT CUresult cuEventRecord(void* event, void* stream) {
    return cuEventRecordWithFlags(event, stream, 0);
}

STANDIN_EXPORT CUresult cuEventQuery(void* handle) {
    Lock lock(world().mutex);
    Context* context;
    Event* event = nullptr;
    int result = checkEvent(handle, "cuEventQuery", context, event);
    if (result != SUCCESS || event->mark == nullptr) {
        return result;
    }
    if (event->mark->capture != nullptr) {
        return CAPTURED_EVENT;
    }
    return ended(*event->mark) ? SUCCESS : NOT_READY;
}

STANDIN_EXPORT CUresult cuEventSynchronize(void* handle) {
    Lock lock(world().mutex);
    Context* context;
    Event* event = nullptr;
    int result = checkEvent(handle, "cuEventSynchronize", context, event);
    if (result != SUCCESS) {
        return result;
    }
    if (carousel_standin_fails(KIND_OBJECT, "cuEventSynchronize")) {
        return LAUNCH_FAILED;
    }
    std::shared_ptr<Mark> mark = event->mark;
    if (mark == nullptr) {
        return SUCCESS;
    }
    if (mark->capture != nullptr) {
        return CAPTURED_EVENT;
    }
    carousel_standin_add(HOST_SYNCHRONISATIONS, 1);
    finish(lock, mark->place.stream, mark->place.position);
    return context->error;
}

STANDIN_EXPORT CUresult cuEventElapsedTime(float* milliseconds, void* start, void* end) {
    Lock lock(world().mutex);
    Context* context;
    Event* first = nullptr;
    Event* second = nullptr;
    int result = checkEvent(start, "cuEventElapsedTime", context, first);
    if (result == SUCCESS) {
        result = checkEvent(end, "cuEventElapsedTime", context, second);
    }
    if (result != SUCCESS) {
        return result;
    }
    if (milliseconds == nullptr) {
        return INVALID_VALUE;
    }
    constexpr unsigned DISABLE_TIMING = 2;
    if (((first->flags | second->flags) & DISABLE_TIMING) != 0 || first->mark == nullptr || second->mark == nullptr) {
        return INVALID_HANDLE;
    }
    if (first->mark->capture != nullptr || second->mark->capture != nullptr) {
        return CAPTURED_EVENT;
    }
    if (!ended(*first->mark) || !ended(*second->mark)) {
        return NOT_READY;
    }
    *milliseconds =
            static_cast<float>(static_cast<double>(second->mark->nanoseconds - first->mark->nanoseconds) * 1e-6);
    return SUCCESS;
}
