// The mesh as the page calls it: one client per service over gRPC-Web, same origin, the session in a cookie that no script can read.
import { type Client, Code, ConnectError, createClient, type Interceptor } from "@connectrpc/connect";
import { createGrpcWebTransport } from "@connectrpc/connect-web";
import { AugmentationService } from "../gen/labelmesh/augment/v1/augmentations_pb";
import { PipelineService } from "../gen/labelmesh/augment/v1/pipelines_pb";
import { ApiKeyService } from "../gen/labelmesh/auth/v1/api_keys_pb";
import { SecurityService } from "../gen/labelmesh/auth/v1/security_pb";
import { SessionService } from "../gen/labelmesh/auth/v1/sessions_pb";
import { UserService } from "../gen/labelmesh/auth/v1/users_pb";
import { ModelService } from "../gen/labelmesh/inference/v1/models_pb";
import { PredictionService } from "../gen/labelmesh/inference/v1/predictions_pb";
import { ScoringService } from "../gen/labelmesh/inference/v1/scoring_pb";
import { TrainingService } from "../gen/labelmesh/inference/v1/trainings_pb";
import { AnnotationService } from "../gen/labelmesh/labeling/v1/annotations_pb";
import { ImageService } from "../gen/labelmesh/labeling/v1/images_pb";
import { ProjectService } from "../gen/labelmesh/labeling/v1/projects_pb";
import { StatisticsService } from "../gen/labelmesh/labeling/v1/statistics_pb";
import { countsAsActivity, isOpen } from "./activity";
import { Link } from "./link";
import { problemOf } from "./problems";

const DEADLINE_MS = 10_000;
/** Calls that shall arrive even when the page is closed meanwhile: labels, leases given back, signing out. */
const OUTLIVES_THE_PAGE = [`/${AnnotationService.typeName}/`, `/${SessionService.typeName}/SignOut`];

/** Labeling goes on without models and augmentation: these services being away, or slow, does not mean that the server is. */
const MAY_BE_AWAY_ALONE = ["labelmesh.inference.", "labelmesh.augment."];

/** What the page wants to know of every call. */
export interface CallObserver {
  /** A call that counts as activity was sent at this time (ms since the epoch) and accepted. */
  activity(sentAt: number): void;
  /** The edge refused a call, sent at this time, for want of a session; the reason is the mesh's, e.g. "SESSION_ENDED". */
  sessionRefused(reason: string, sentAt: number): void;
}

export interface Mesh {
  readonly link: Link;
  readonly sessions: Client<typeof SessionService>;
  readonly users: Client<typeof UserService>;
  readonly apiKeys: Client<typeof ApiKeyService>;
  readonly security: Client<typeof SecurityService>;
  readonly projects: Client<typeof ProjectService>;
  readonly images: Client<typeof ImageService>;
  readonly annotations: Client<typeof AnnotationService>;
  readonly statistics: Client<typeof StatisticsService>;
  readonly models: Client<typeof ModelService>;
  readonly predictions: Client<typeof PredictionService>;
  readonly scoring: Client<typeof ScoringService>;
  readonly trainings: Client<typeof TrainingService>;
  readonly augmentations: Client<typeof AugmentationService>;
  readonly pipelines: Client<typeof PipelineService>;
}

const sameOriginFetch: typeof fetch = (input, init) => {
  const url = input instanceof Request ? input.url : String(input);
  const keepalive = OUTLIVES_THE_PAGE.some((part) => url.includes(part));
  return fetch(input, { ...init, credentials: "same-origin", cache: "no-store", keepalive });
};

function observing(link: Link, observer: CallObserver): Interceptor {
  return (next) => async (request) => {
    const sentAt = Date.now();
    try {
      const response = await next(request);
      link.answered();
      if (countsAsActivity(request.method)) observer.activity(sentAt);
      return response;
    } catch (thrown) {
      const problem = problemOf(thrown);
      if (request.signal.aborted && problem.code === Code.Canceled) throw thrown;
      const lost = problem.code === Code.Unavailable || problem.code === Code.DeadlineExceeded;
      if (!lost || problem.reason === "STREAM_RENEW") link.answered();
      else if (MAY_BE_AWAY_ALONE.some((part) => request.service.typeName.startsWith(part))) link.doubted();
      else link.lost();
      if (problem.code === Code.Unauthenticated && !isOpen(request.method)) observer.sessionRefused(problem.reason, sentAt);
      else if (countsAsActivity(request.method) && thrown instanceof ConnectError && !problem.transient) observer.activity(sentAt);
      throw thrown;
    }
  };
}

/** Connects the page to the mesh that served it. `further` see every call as it leaves. */
export function connectMesh(observer: CallObserver, further: readonly Interceptor[] = [], baseUrl = globalThis.location.origin): Mesh {
  const link: Link = new Link(() => sessions.getSession({}));
  const transport = createGrpcWebTransport({
    baseUrl,
    fetch: sameOriginFetch,
    defaultTimeoutMs: DEADLINE_MS,
    interceptors: [observing(link, observer), ...further],
  });
  const sessions = createClient(SessionService, transport);
  return {
    link,
    sessions,
    users: createClient(UserService, transport),
    apiKeys: createClient(ApiKeyService, transport),
    security: createClient(SecurityService, transport),
    projects: createClient(ProjectService, transport),
    images: createClient(ImageService, transport),
    annotations: createClient(AnnotationService, transport),
    statistics: createClient(StatisticsService, transport),
    models: createClient(ModelService, transport),
    predictions: createClient(PredictionService, transport),
    scoring: createClient(ScoringService, transport),
    trainings: createClient(TrainingService, transport),
    augmentations: createClient(AugmentationService, transport),
    pipelines: createClient(PipelineService, transport),
  };
}
